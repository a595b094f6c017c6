package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"riptide-proxy/value/dictionary"
)

// Dictionaries tells about tenants' compression dictionaries. A dictionary.Manager does.
type Dictionaries interface {
	// List is a tenant's dictionaries; the error may be dictionary.ErrUnknownTenant.
	List(tenant string) ([]*dictionary.Entry, error)
}

// handleDictionaries serves what this proxy knows of dictionaries. What is in them is not told: it
// consists of what the tenant's values have in common.
func handleDictionaries(mux *http.ServeMux, d Dictionaries) {
	mux.HandleFunc("GET /tenants/{id}/dictionaries", func(w http.ResponseWriter, r *http.Request) {
		list, ok := listDictionaries(w, r, d)
		if !ok {
			return
		}
		infos := make([]dictionary.Info, len(list)) // none is [], not null
		for i, e := range list {
			infos[i] = e.Info()
		}
		writeJSON(w, infos)
	})
	mux.HandleFunc("GET /tenants/{id}/dictionaries/{dict}", func(w http.ResponseWriter, r *http.Request) {
		id, err := dictionary.ParseID(r.PathValue("dict"))
		if err != nil {
			http.Error(w, "no such dictionary", http.StatusNotFound)
			return
		}
		list, ok := listDictionaries(w, r, d)
		if !ok {
			return
		}
		for _, e := range list {
			if e.ID == id {
				writeJSON(w, e.Info())
				return
			}
		}
		http.Error(w, "no such dictionary", http.StatusNotFound)
	})
}

// listDictionaries answers the request itself if it can not tell.
func listDictionaries(w http.ResponseWriter, r *http.Request, d Dictionaries) ([]*dictionary.Entry, bool) {
	list, err := d.List(r.PathValue("id"))
	switch {
	case errors.Is(err, dictionary.ErrUnknownTenant):
		http.Error(w, "no such tenant, or one that has no sealed values", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	return list, err == nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a client that has gone away
}
