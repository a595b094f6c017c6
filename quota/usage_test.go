package quota

import "testing"

func TestRatio(t *testing.T) {
	for u, want := range map[Usage]float64{{"memory", 512, 1024}: 0.5, {"ops_per_second", 120, 100}: 1.2, {"keys", 7, 0}: 0, {"keys", 0, 7}: 0} {
		if got := u.Ratio(); got != want {
			t.Errorf("%+v: %v", u, got)
		}
	}
}
