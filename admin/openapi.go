package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/config"
)

// document is the OpenAPI document for the routes.
func document(list []*route) ([]byte, error) {
	s := schemas{}
	paths := object{}
	for _, r := range list {
		at, known := paths[r.path].(object)
		if !known {
			at = object{}
			paths[r.path] = at
		}
		at[strings.ToLower(r.method)] = s.operation(r)
	}
	problemSchema := s.of(reflect.TypeFor[Problem](), "json")
	return json.MarshalIndent(object{
		"openapi": "3.0.3",
		"info": object{
			"title": "riptide-proxy", "version": "1",
			"description": "The admin listener of riptide-proxy. x-role is the least role that a token needs; x-reach says which tokens can be used: " +
				"everybody (none is needed), fleet (tokens for all tenants), tenant (also the token for the tenant in the path), " +
				"visible (also tokens for one tenant, which are told of this one only).",
		},
		"paths":    paths,
		"security": []any{object{"token": []any{}}},
		"components": object{
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"schemas":         s,
			"responses": object{"Problem": object{
				"description": "It was not done: RFC 9457.",
				"content":     object{"application/problem+json": object{"schema": problemSchema}},
			}},
		},
	}, "", "  ")
}

var inPath = regexp.MustCompile(`\{([a-z]+)\}`)

func (s schemas) operation(r *route) object {
	parameters := []any{}
	for _, m := range inPath.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range r.query {
		schema := object{"type": "string"}
		if q.many {
			schema = object{"type": "array", "items": object{"type": "string"}}
		}
		parameters = append(parameters, object{"name": q.name, "in": "query", "description": q.about, "schema": schema})
	}
	if r.cond {
		parameters = append(parameters, object{"name": "If-Match", "in": "header", "description": "the ETag of what is to be changed", "schema": object{"type": "string"}})
	}
	if r.tagged {
		parameters = append(parameters, object{"name": "If-None-Match", "in": "header", "description": "the ETag of what is known already", "schema": object{"type": "string"}})
	}
	o := object{
		"operationId": r.name, "summary": r.summary, "parameters": parameters, "responses": s.responses(r),
		"x-reach": reachNames[r.reach],
	}
	if r.reach == everybody {
		o["security"] = []any{}
	} else {
		o["x-role"] = string(r.role)
	}
	if r.body != nil {
		content := object{}
		kind := "application/json"
		if reflect.TypeOf(r.body) == reflect.TypeFor[config.Tenant]() {
			kind = "application/merge-patch+json"
		}
		content[kind] = object{"schema": s.of(reflect.TypeOf(r.body), "json")}
		o["requestBody"] = object{"content": content}
	}
	return o
}

func (s schemas) responses(r *route) object {
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	done := object{"description": "It was done."}
	switch {
	case r.media != "":
		done["content"] = object{r.media: object{"schema": object{"type": "string"}}}
	case r.answer != nil:
		done["content"] = object{"application/json": object{"schema": s.of(reflect.TypeOf(r.answer), "json")}}
	}
	all := object{strconv.Itoa(status): done, "default": object{"$ref": "#/components/responses/Problem"}}
	for _, q := range r.query {
		if q.name == "format" {
			content := done["content"].(object)
			content["text/csv"] = object{"schema": object{"type": "string"}}
			content[plainText] = object{"schema": object{"type": "string"}}
		}
		if q.name == "data" {
			all["204"] = object{"description": "It was done; the keys are left."}
		}
	}
	if r.reach == everybody {
		all["503"] = object{"description": "It is not so.", "content": object{plainText: object{"schema": object{"type": "string"}}}}
	}
	if r.tagged {
		all["304"] = object{"description": "It is what If-None-Match says."}
	}
	for _, status := range r.refusals() {
		all[strconv.Itoa(status)] = object{"$ref": "#/components/responses/Problem"}
	}
	return all
}

// refusals are the statuses of requests that are not done for what they say, or what they are about. What is wrong with the proxy
// comes under "default".
func (r *route) refusals() []int {
	all := []int{http.StatusTooManyRequests}
	if r.reach == everybody {
		return all
	}
	all = append(all, http.StatusUnauthorized, http.StatusForbidden)
	if r.media == "" {
		all = append(all, http.StatusBadRequest)
	}
	if r.method != http.MethodGet {
		all = append(all, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusConflict)
	}
	_, numbered := r.body.(Numbered)
	_, keys := r.body.(Keys)
	if strings.Contains(r.path, "{") || numbered || keys || slices.ContainsFunc(r.query, func(p parameter) bool { return p.name == "from" }) {
		all = append(all, http.StatusNotFound)
	}
	if r.cond {
		all = append(all, http.StatusPreconditionFailed)
	}
	if r.cond && (r.method == http.MethodPatch || r.method == http.MethodDelete) {
		all = append(all, http.StatusPreconditionRequired)
	}
	if _, creates := r.body.(newTenant); creates || r.cond && strings.Contains(r.path, "{id}") {
		all = append(all, http.StatusUnprocessableEntity)
	}
	return all
}
