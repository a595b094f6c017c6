package proxy

import (
	"strconv"
	"strings"
)

// infoQuota shows what the tenant uses of its quotas, one resource after the other. A limit of 0 is none, as
// in Redis's own fields.
func infoQuota(b *strings.Builder, d *infoData) {
	for i := range d.usage {
		u := &d.usage[i]
		name := "quota_" + u.Resource
		fields(b, name+"_used", plainNumber(u.Used), name+"_limit", plainNumber(u.Limit),
			name+"_ratio", strconv.FormatFloat(u.Ratio(), 'f', 4, 64))
	}
}

// plainNumber is without an exponent, and without decimals where there are none.
func plainNumber(f float64) string {
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}
