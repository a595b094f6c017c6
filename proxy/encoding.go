package proxy

import (
	"bytes"
	"context"

	"riptide-proxy/resp"
	"riptide-proxy/value"
)

// The limits from which Redis by default stores a string apart from its header, and a
// hash as a table.
const (
	embeddedString = 44
	listpackValue  = 64
	listpackFields = 512
)

// encoding is OBJECT ENCODING: how the server would store the value if it were not
// sealed. What a value has been before the server alone knows.
func (p *plan) encoding(ctx context.Context, talk talker, h *heldCommand) ([]byte, error) {
	key := h.name(h.prefixed[0])
	replies, err := unwatched(ctx, talk, h.raw, rawRequest("TYPE", string(key)), rawRequest("HLEN", string(key)))
	if err != nil {
		return nil, unsent(err)
	}
	native := replies[0]
	switch string(replies[1]) {
	case "+string\r\n":
		if replies, err = ask(ctx, talk, rawRequest("GET", string(key))); err != nil {
			return nil, err
		}
		stored, ok := content(replies[0])
		if _, sealed := value.Length(stored); !ok || !sealed {
			return native, nil
		}
		plain, err := p.open(ctx, stored, key)
		if err != nil {
			return nil, err
		}
		return resp.AppendBulkString(nil, stringEncoding(plain)), nil
	case "+hash\r\n":
		if n, _ := resp.ParseInt(replies[2][1 : len(replies[2])-2]); n > listpackFields {
			return native, nil
		}
		if replies, err = ask(ctx, talk, rawRequest("HGETALL", string(key))); err != nil {
			return nil, err
		}
		return hashEncoding(native, replies[0]), nil
	}
	return native, nil
}

func stringEncoding(plain []byte) string {
	switch _, isInt := resp.ParseInt(plain); {
	case isInt && plain[0] != '+':
		return "int"
	case len(plain) <= embeddedString && !bytes.HasPrefix(plain, []byte("HYLL")): // PFADD leaves it raw
		return "embstr"
	}
	return "raw"
}

// hashEncoding looks at the lengths that fields and values have when they are not
// sealed.
func hashEncoding(native, reply []byte) []byte {
	fields, ok := contents(reply)
	if !ok {
		return native
	}
	anySealed, long := false, false
	for i, b := range fields {
		n := int64(len(b))
		if i%2 == 1 {
			length, sealed := value.Length(b)
			n, anySealed = length, anySealed || sealed
		}
		long = long || n > listpackValue
	}
	switch {
	case !anySealed:
		return native
	case long:
		return resp.AppendBulkString(nil, "hashtable")
	}
	return resp.AppendBulkString(nil, "listpack")
}
