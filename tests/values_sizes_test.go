package tests

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/corpus"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
)

// The sizes that the documentation has for every algorithm and level, in percent of the
// originals. They are what choosing one rests on, so their order is checked.
func TestValuesStoredSizes(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name  string
		count int
		of    func(i int) []byte
	}{
		{"HTML", 100, corpus.HTML},
		{"16 KiB", 50, func(i int) []byte { return corpus.Document(i, 16<<10) }},
		{"2.3 KiB", 300, document},
		{"1 KiB", 300, func(i int) []byte { return corpus.Document(i, 1<<10) }},
		{"300 B", 1000, corpus.Session},
	}
	sizes := map[string][]float64{}
	for _, mode := range []string{
		"lz4 fastest", "lz4 default", "lz4 better", "lz4 best", "s2 default", "s2 better", "s2 best",
		"zstd fastest", "zstd default", "zstd better", "zstd best", "zstd default, dictionary",
	} {
		words := strings.FieldsFunc(mode, func(r rune) bool { return r == ' ' || r == ',' })
		level, _ := value.Level(words[1])
		settings := value.Settings{Tenant: "acme", Algorithm: config.Algorithm(words[0]), Level: level,
			MinSize: 1 << 10, DictMinSize: 64, MinSaving: 10, Limit: 1 << 20}
		var line strings.Builder
		for _, kind := range kinds {
			codec, err := value.NewCodec(settings)
			if err != nil {
				t.Fatal(err)
			}
			if len(words) > 2 {
				codec.SetDicts(trainedWith(t, settings, kind.of))
			}
			size := storedPercent(t, codec, kind.count, kind.of)
			sizes[mode] = append(sizes[mode], size)
			fmt.Fprintf(&line, " %5.1f", size)
		}
		t.Logf("%-26s%s", mode, line.String())
	}
	for _, order := range [][2]string{
		{"zstd default", "s2 default"}, {"zstd default", "lz4 best"}, {"lz4 default", "lz4 fastest"}, {"zstd default, dictionary", "zstd default"},
	} {
		for i, kind := range kinds {
			if a, b := sizes[order[0]][i], sizes[order[1]][i]; a > b {
				t.Errorf("%s: %s makes values longer (%.1f %%) than %s (%.1f %%)", kind.name, order[0], a, order[1], b)
			}
		}
	}
}

// trainedWith is a dictionary for such values, from others than are stored afterwards; none if it is not worth it.
func trainedWith(t *testing.T, s value.Settings, of func(i int) []byte) *value.Dicts {
	t.Helper()
	var samples [][]byte
	for i, size := 0, 0; i < 400 && size < 2<<20; i++ {
		samples = append(samples, of(1<<20+i))
		size += len(samples[i])
	}
	trained, err := dictionary.Train(samples, dictionary.Params{Settings: s, Size: 16 << 10, Seed: 1})
	if err == dictionary.ErrNoGain {
		return value.NewDicts(nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := value.NewDict("", trained.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return value.NewDicts(nil, []*value.Dict{d})
}

func storedPercent(t *testing.T, codec *value.Codec, count int, of func(i int) []byte) float64 {
	t.Helper()
	var n value.Counters
	plain, stored := 0, 0
	for i := range count {
		v, name := of(i), value.Name{Prefix: []byte("t:acme:0:"), Key: []byte("key")}
		out, sealed := codec.Seal(&n, nil, v, name)
		if !sealed {
			out = v
		}
		plain, stored = plain+len(v), stored+len(out)
		if back, err := codec.Open(&n, nil, out, name); err != nil || !bytes.Equal(back, v) {
			t.Fatalf("value %d does not come back: %v", i, err)
		}
	}
	return 100 * float64(stored) / float64(plain)
}
