package admin

import (
	"errors"
	"net/http"

	"riptide-proxy/value/dictionary"
)

// Dictionaries tells about tenants' compression dictionaries. A dictionary.Manager does.
type Dictionaries interface {
	// List is a tenant's dictionaries; the error may be dictionary.ErrUnknownTenant.
	List(tenant string) ([]*dictionary.Entry, error)
}

// listDictionaries tells what this proxy knows of dictionaries. What is in them is not told: it
// consists of what the tenant's values have in common.
func listDictionaries(a *api, w http.ResponseWriter, c *call) error {
	infos, err := a.dictionaries(c.tenant)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, infos)
}

func showDictionary(a *api, w http.ResponseWriter, c *call) error {
	missing := problem("not-found", "there is no such dictionary")
	if _, err := dictionary.ParseID(c.PathValue("dict")); err != nil {
		return missing
	}
	infos, err := a.dictionaries(c.tenant)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if info.ID == c.PathValue("dict") {
			return writeJSON(w, http.StatusOK, info)
		}
	}
	return missing
}

func (a *api) dictionaries(tenant string) ([]dictionary.Info, error) {
	list, err := a.o.Dictionaries.List(tenant)
	switch {
	case errors.Is(err, dictionary.ErrUnknownTenant):
		return nil, problem("not-found", "there is no such tenant, or it has no sealed values")
	case err != nil:
		return nil, err
	}
	infos := make([]dictionary.Info, len(list)) // none is [], not null
	for i, e := range list {
		infos[i] = e.Info()
	}
	return infos, nil
}
