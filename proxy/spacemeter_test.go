package proxy

import (
	"strings"
	"testing"

	"riptide-proxy/quota"
)

// The error names the quota that is used up, and not the one that was looked at first.
func TestSpaceErrorNamesTheQuota(t *testing.T) {
	for name, c := range map[string]struct {
		limit, used quota.Amounts
		resource    int
		want        string
	}{
		"memory":                      {quota.Amounts{1000, 0}, quota.Amounts{1000, 5}, quota.Bytes, "memory quota (used 1000 of 1000 bytes)"},
		"keys":                        {quota.Amounts{0, 5}, quota.Amounts{1000, 5}, quota.Keys, "quota of keys (used 5 of 5)"},
		"keys alone, asked of memory": {quota.Amounts{0, 5}, quota.Amounts{1000, 5}, quota.Bytes, "quota of keys (used 5 of 5)"},
		"keys, though memory is left": {quota.Amounts{1000, 5}, quota.Amounts{500, 5}, quota.Bytes, "quota of keys (used 5 of 5)"},
		"memory, and keys are left":   {quota.Amounts{1000, 5}, quota.Amounts{990, 4}, quota.Bytes, "memory quota (used 990 of 1000 bytes)"},
		"both":                        {quota.Amounts{1000, 5}, quota.Amounts{1000, 5}, quota.Bytes, "memory quota (used 1000 of 1000 bytes)"},
	} {
		m := &spaceMeter{stats: &tenantStats{id: "acme"}, limit: c.limit, used: c.used}
		if got := m.overText(c.resource); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
