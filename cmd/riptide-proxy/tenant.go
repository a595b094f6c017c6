package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"riptide-proxy/admin"
	"riptide-proxy/config"
)

// tenantCommand is riptide-proxy tenant: a client of /admin/tenants.
func tenantCommand() *cobra.Command {
	a := &apiTool{}
	return a.group("tenant", "List, make, change and delete tenants of a running proxy",
		tenantList(a), tenantGet(a), tenantCreate(a), tenantUpdate(a), tenantDelete(a),
		tenantSwitch(a, "suspend", "Refuse a tenant's logins and end its connections"), tenantSwitch(a, "resume", "End a tenant's suspension"),
		tenantRotate(a), tenantConnections(a), tenantSlowlog(a), tenantHotKeys(a), tenantLedger(a, "usage", "Show what a tenant has used"), tenantLedger(a, "billing", "Show a tenant's bill"))
}

func tenantPath(id string) string { return "/admin/tenants/" + url.PathEscape(id) }

func tenantList(a *apiTool) *cobra.Command {
	var plan string
	var tags []string
	cmd := a.sub("list", "List the tenants", cobra.NoArgs, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		q := url.Values{"tag": tags, "limit": {"10000"}}
		if plan != "" {
			q.Set("plan", plan)
		}
		all := admin.TenantList{Tenants: []admin.TenantLine{}}
		for {
			var page admin.TenantList
			if _, err := a.get(ctx, "/admin/tenants?"+q.Encode(), &page); err != nil {
				return err
			}
			all.Tenants = append(all.Tenants, page.Tenants...)
			if page.Next == "" {
				break
			}
			q.Set("after", page.Next)
		}
		body, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), &apiReply{body: append(body, '\n')}, func(w io.Writer) {
			row(w, "TENANT", "PLAN", "STATE", "FILE", "USERS", "TAGS")
			for _, t := range all.Tenants {
				row(w, t.ID, t.Plan, choice(t.Suspended, "suspended", "active"), choice(t.Managed, "tenants_dir", "main"), strings.Join(t.Users, ","), tagText(t.Tags))
			}
		})
	})
	cmd.Flags().StringVar(&plan, "plan", "", "only with this plan")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "only with this tag, name=value; may be given several times")
	return cmd
}

func choice(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func tagText(tags map[string]string) string {
	var all []string
	for _, name := range sortedKeys(tags) {
		all = append(all, name+"="+tags[name])
	}
	return strings.Join(all, " ")
}

func tenantGet(a *apiTool) *cobra.Command {
	var showTag bool
	cmd := a.sub("get ID", "Show a tenant's configuration, without its secrets", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		r, err := a.ask(ctx, http.MethodGet, tenantPath(args[0]), nil)
		if err != nil {
			return err
		}
		if showTag {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r.header.Get("ETag"))
			return err
		}
		_, err = cmd.OutOrStdout().Write(r.body)
		return err
	})
	cmd.Flags().BoolVar(&showTag, "show-etag", false, "print its ETag instead, for --etag of a change")
	return cmd
}

// changes are what a tenant is to have: a file of JSON, and single keys.
type changes struct {
	file  string
	set   []string
	unset []string
}

func (c *changes) flags(cmd *cobra.Command, unset bool) {
	cmd.Flags().StringVarP(&c.file, "file", "f", "", "JSON with the keys of a tenant's file; - is standard input")
	cmd.Flags().StringArrayVar(&c.set, "set", nil, "key=value, as in quotas.memory=1GiB; repeatable")
	if unset {
		cmd.Flags().StringArrayVar(&c.unset, "unset", nil, "key that is to have its default again; repeatable")
	}
}

func (c *changes) body(in io.Reader) (map[string]any, error) {
	body := map[string]any{}
	if c.file != "" {
		text, err := os.ReadFile(c.file)
		if c.file == "-" {
			text, err = io.ReadAll(in)
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &body); err != nil {
			return nil, fmt.Errorf("--file %s: %w", c.file, err)
		}
	}
	for _, pair := range c.set {
		key, text, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, fmt.Errorf("--set %s: want key=value", pair)
		}
		var value any = text
		if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return nil, fmt.Errorf("--set %s: %w", key, err)
			}
		}
		if err := put(body, key, value); err != nil {
			return nil, err
		}
	}
	for _, key := range c.unset {
		if err := put(body, key, nil); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// put sets a.b.c of nested objects.
func put(body map[string]any, path string, value any) error {
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		if body[k] == nil {
			body[k] = map[string]any{}
		}
		inner, isObject := body[k].(map[string]any)
		if !isObject {
			return fmt.Errorf("%s: %s has no keys", path, k)
		}
		body = inner
	}
	body[keys[len(keys)-1]] = value
	return nil
}

// newSecret is a secret that nobody can guess.
func newSecret() string {
	var b [24]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func tenantCreate(a *apiTool) *cobra.Command {
	var c changes
	var plan, hash string
	var noSecret bool
	cmd := a.sub("create ID", "Make a tenant", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		body, err := c.body(cmd.InOrStdin())
		if err != nil {
			return err
		}
		body["id"] = args[0]
		if plan != "" {
			body["plan"] = plan
		}
		secret := ""
		if _, given := body["users"]; !given && !noSecret {
			if hash == "" {
				secret = newSecret()
				hash = config.HashSecret(secret)
			}
			body["users"] = map[string]any{"default": map[string]any{"sha256": []string{hash}}}
		}
		r, err := a.ask(ctx, http.MethodPost, "/admin/tenants", body)
		if err != nil {
			return err
		}
		return a.tellSecret(cmd, r, "tenant "+args[0]+" is there", secret)
	})
	cmd.Long = `Makes a tenant, which can be used at once. The secret of its user default is made here and
printed on standard output; the proxy is given its hash only. Keys of the tenant's file are
given by --set and --file.

` + apiHelp
	c.flags(cmd, false)
	cmd.Flags().StringVar(&plan, "plan", "", "its plan")
	cmd.Flags().StringVar(&hash, "sha256", "", "hash of the secret of its user default, instead of a new one")
	cmd.Flags().BoolVar(&noSecret, "no-secret", false, "make no user")
	return cmd
}

// tellSecret says what was done on standard error, so that a secret stands alone on standard output.
func (a *apiTool) tellSecret(cmd *cobra.Command, r *apiReply, done, secret string) error {
	if a.json {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s", r.body)
	} else {
		fmt.Fprintln(cmd.ErrOrStderr(), done)
	}
	if secret == "" {
		return nil
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), secret)
	return err
}

// edited makes a change to what a tenant is at this moment, or to what somebody has seen.
func (a *apiTool) edited(ctx context.Context, id, etag string, do func(etag string) (*apiReply, error)) (*apiReply, error) {
	if etag == "" {
		r, err := a.ask(ctx, http.MethodGet, tenantPath(id), nil)
		if err != nil {
			return nil, err
		}
		etag = r.header.Get("ETag")
	}
	return do(etag)
}

func tenantUpdate(a *apiTool) *cobra.Command {
	var c changes
	var etag string
	cmd := a.sub("update ID", "Change a tenant's configuration", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		body, err := c.body(cmd.InOrStdin())
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return errors.New("there is nothing to change: --set, --unset or --file")
		}
		r, err := a.edited(ctx, args[0], etag, func(etag string) (*apiReply, error) {
			return a.ask(ctx, http.MethodPatch, tenantPath(args[0]), body, "If-Match", etag)
		})
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) { row(w, "tenant "+args[0]+" is changed") })
	})
	c.flags(cmd, true)
	etagFlag(cmd, &etag)
	return cmd
}

// jobLook is how often --wait looks.
const jobLook = 200 * time.Millisecond

func tenantDelete(a *apiTool) *cobra.Command {
	var keep, wait, yes bool
	var etag string
	cmd := a.sub("delete ID --yes", "Delete a tenant and its keys", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if !yes {
			return errors.New("a deleted tenant's keys do not come back; --yes says that it is meant")
		}
		path := tenantPath(args[0])
		if keep {
			path += "?data=keep"
		}
		r, err := a.edited(ctx, args[0], etag, func(etag string) (*apiReply, error) {
			return a.ask(ctx, http.MethodDelete, path, nil, "If-Match", etag)
		})
		if err != nil {
			return err
		}
		if keep {
			fmt.Fprintf(cmd.ErrOrStderr(), "tenant %s is deleted; its keys are left\n", args[0])
			return nil
		}
		return a.followJob(ctx, cmd, r, wait)
	})
	etagFlag(cmd, &etag)
	cmd.Flags().BoolVar(&keep, "keep-data", false, "leave its keys where they are")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its keys are deleted")
	cmd.Flags().BoolVar(&yes, "yes", false, "it is meant")
	return cmd
}

// followJob prints a job as it was begun, or as it has ended.
func (a *apiTool) followJob(ctx context.Context, cmd *cobra.Command, r *apiReply, wait bool) error {
	var job admin.Job
	if err := json.Unmarshal(r.body, &job); err != nil {
		return err
	}
	for wait && job.Ended == nil {
		select {
		case <-time.After(jobLook):
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		if r, err = a.get(ctx, "/admin/jobs/"+url.PathEscape(job.ID), &job); err != nil {
			return err
		}
	}
	err := a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
		row(w, "JOB", "KIND", "TENANT", "STATE", "LOOKED AT", "OF", "DELETED")
		row(w, job.ID, job.Kind, job.Tenant, job.State, job.Looked, job.Keys, job.Deleted)
	})
	if err == nil && job.State == "failed" {
		err = errors.New(job.Error)
	}
	return err
}

func tenantSwitch(a *apiTool, what, short string) *cobra.Command {
	var etag string
	cmd := a.sub(what+" ID", short, cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		r, err := a.ask(ctx, http.MethodPost, tenantPath(args[0])+"/"+what, nil, ifMatch(etag)...)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) { row(w, "tenant "+args[0]+": "+what+" is done") })
	})
	etagFlag(cmd, &etag)
	return cmd
}

func tenantRotate(a *apiTool) *cobra.Command {
	var user, hash, etag string
	var revoke bool
	cmd := a.sub("rotate-key ID", "Give a user of a tenant a new secret", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		secret := ""
		if hash == "" {
			secret = newSecret()
			hash = config.HashSecret(secret)
		}
		r, err := a.ask(ctx, http.MethodPost, tenantPath(args[0])+"/rotate-key", admin.KeyChange{User: user, SHA256: hash, Revoke: revoke}, ifMatch(etag)...)
		if err != nil {
			return err
		}
		return a.tellSecret(cmd, r, "tenant "+args[0]+": user "+user+" has a new secret", secret)
	})
	cmd.Long = `Gives a user a new secret, which is made here and printed on standard output; the proxy is given its hash
only. The secret before it works until the next change, or with --revoke not from now on.

` + apiHelp
	etagFlag(cmd, &etag)
	cmd.Flags().StringVar(&user, "user", "default", "whose")
	cmd.Flags().StringVar(&hash, "sha256", "", "hash of the new secret, instead of one that is made")
	cmd.Flags().BoolVar(&revoke, "revoke", false, "end all other secrets at once, and the connections that have used them")
	return cmd
}
