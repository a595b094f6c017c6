package value

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"riptide-proxy/config"
)

// forge is a sealed value with that header and payload.
func forge(h Header, payload []byte) []byte { return append(h.append(nil), payload...) }

func TestCorrupt(t *testing.T) {
	s := testSettings(config.Zstd)
	s.Limit = 1 << 20
	c := newCodec(t, s)
	text := []byte(strings.Repeat("some text ", 100))
	frame := zstdEncoders[DefaultLevel]().EncodeAll(text, nil)
	bare := frame[len(appendFrameHeader(nil, len(text), false)):]
	long := []byte(strings.Repeat("long text ", 10000))
	longFrame := zstdEncoders[DefaultLevel]().EncodeAll(long, nil)
	block, _ := compressLZ4(nil, text, Fastest, 1000)
	s2Block := s2.Encode(nil, text)
	var n Counters
	for name, test := range map[string]struct {
		algorithm Algorithm
		length    int
		payload   []byte
		want      error
	}{
		"whole lz4":        {LZ4, 1000, block, nil},
		"whole s2":         {S2, 1000, s2Block, nil},
		"whole bare zstd":  {Zstd, 1000, bare, nil},
		"whole zstd":       {Zstd, 100000, longFrame, nil},
		"too long":         {Zstd, 1<<20 + 1, longFrame, ErrTooLong},
		"wrapped, shorter": {None, 5, []byte("123456"), ErrCorrupt},
		"wrapped, longer":  {None, 7, []byte("123456"), ErrCorrupt},
		"lz4, shorter":     {LZ4, 999, block, ErrCorrupt},
		"lz4, longer":      {LZ4, 1001, block, ErrCorrupt},
		"lz4, cut":         {LZ4, 1000, block[:len(block)-1], ErrCorrupt},
		"lz4, empty":       {LZ4, 1000, nil, ErrCorrupt},
		"lz4, tiny":        {LZ4, 1 << 20, []byte{0xff, 0xff}, ErrCorrupt},
		"lz4 of nothing":   {LZ4, 0, block, ErrCorrupt},
		"s2, shorter":      {S2, 999, s2Block, ErrCorrupt},
		"s2, longer":       {S2, 1001, s2Block, ErrCorrupt},
		"s2, cut":          {S2, 1000, s2Block[:len(s2Block)-1], ErrCorrupt},
		"s2, empty":        {S2, 1000, nil, ErrCorrupt},
		"zstd, shorter":    {Zstd, 999, bare, ErrCorrupt},
		"zstd, longer":     {Zstd, 1001, bare, ErrCorrupt},
		"zstd, cut":        {Zstd, 1000, bare[:len(bare)-1], ErrCorrupt},
		"zstd, trailing":   {Zstd, 1000, append(bare[:len(bare):len(bare)], 0), ErrCorrupt},
		"zstd, empty":      {Zstd, 1000, nil, ErrCorrupt},
		"zstd, not bare":   {Zstd, 1000, frame, ErrCorrupt},
		"zstd, bare":       {Zstd, 100000, bare, ErrCorrupt},
		"zstd, two frames": {Zstd, 100000, append(longFrame[:len(longFrame):len(longFrame)], longFrame...), ErrCorrupt},
		"zstd, length":     {Zstd, 99999, longFrame, ErrCorrupt},
	} {
		out, err := c.Open(&n, []byte("x"), forge(Header{Algorithm: test.algorithm, Length: int64(test.length)}, test.payload), testName)
		if !errors.Is(err, test.want) || err != nil && string(out) != "x" || err == nil && len(out) != 1+test.length {
			t.Errorf("%s: %v, %d bytes", name, err, len(out))
		}
	}
}

// TestForgedLength: a length that the payload cannot have is not believed.
func TestForgedLength(t *testing.T) {
	c := newCodec(t, testSettings(config.Zstd))
	window, err := zstd.NewWriter(nil, zstd.WithSingleSegment(false), zstd.WithWindowSize(zstd.MaxWindowSize))
	if err != nil {
		t.Fatal(err)
	}
	var n Counters
	for name, stored := range map[string][]byte{
		"lz4":          forge(Header{Algorithm: LZ4, Length: 1 << 29}, make([]byte, 1000)),
		"s2":           forge(Header{Algorithm: S2, Length: 1 << 29}, []byte("\x80\x80\x80\x80\x02\x00\x00")),
		"s2 otherwise": forge(Header{Algorithm: S2, Length: 100}, []byte("\x80\x80\x80\x80\x02\x00\x00")),
		"zstd":         forge(Header{Algorithm: Zstd, Length: 1 << 29}, appendFrameHeader(nil, 1<<29, false)),
		"zstd window":  forge(Header{Algorithm: Zstd, Length: 1 << 17}, window.EncodeAll([]byte(strings.Repeat("x", 1000)), nil)),
		"encrypted":    forge(Header{Cipher: AES256GCM, Length: 1 << 29}, make([]byte, 100)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.Open(&n, nil, stored, testName)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 4<<20 {
			t.Errorf("%s: %v, %d bytes", name, err, took)
		}
	}
}
