package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

// Requests of the proxy's own, and replies to them as they came.

func rawRequest(args ...string) []byte { return resp.AppendRequest(nil, args...) }

// atOnce has the upstream run requests in one transaction, and returns their replies: none
// if something that is watched has changed.
func atOnce(ctx context.Context, talk talker, requests ...[]byte) ([][]byte, error) {
	all := append(append([][]byte{rawRequest("MULTI")}, requests...), rawRequest("EXEC"))
	replies, err := talk(ctx, all)
	if err != nil {
		return nil, err
	}
	reply := replies[len(replies)-1]
	n, body, ok := resp.ArrayElements(reply)
	switch {
	case isNull(reply):
		return nil, nil
	case !ok && reply[0] == '-':
		return nil, firstError(replies)
	}
	if !ok || n != len(requests) {
		return nil, errBadReply
	}
	out := make([][]byte, n)
	for i := range out {
		size, err := resp.ValueSize(body)
		if err != nil {
			return nil, errBadReply
		}
		out[i], body = body[:size], body[size:]
	}
	return out, nil
}

// unwatched is atOnce for a connection on which the plan watches nothing. If the one that used it before
// was broken off between WATCH and EXEC, the first EXEC does nothing, and takes that away.
func unwatched(ctx context.Context, talk talker, requests ...[]byte) ([][]byte, error) {
	for range 2 {
		if replies, err := atOnce(ctx, talk, requests...); err != nil || replies != nil {
			return replies, err
		}
	}
	return nil, errContended
}

// content is that of content of a reply that is a bulk string.
func content(reply []byte) ([]byte, bool) {
	if reply[0] != '$' {
		return nil, false
	}
	i := bytes.IndexByte(reply, '\n')
	if i < 0 || len(reply) < i+3 {
		return nil, false
	}
	return reply[i+1 : len(reply)-2], true
}

// contents are those of the bulk strings that a reply is made of, be it an array, a set or
// a map.
func contents(reply []byte) (all [][]byte, ok bool) {
	end := bytes.IndexByte(reply, '\n') + 1
	if end < 4 || reply[0] != '*' && reply[0] != '~' && reply[0] != '%' {
		return nil, false
	}
	for rest := reply[end:]; len(rest) > 0; {
		size, err := resp.ValueSize(rest)
		if err != nil {
			return nil, false
		}
		b, ok := content(rest[:size])
		if !ok {
			return nil, false
		}
		all, rest = append(all, b), rest[size:]
	}
	return all, true
}

func isNull(reply []byte) bool {
	return string(reply) == "*-1\r\n" || string(reply) == "_\r\n" || string(reply) == "$-1\r\n"
}

// replyError is an error that the upstream has answered with.
func replyError(reply []byte) error {
	return errors.New(string(bytes.TrimRight(reply[1:], "\r\n")))
}

// unsent is for a loss before anything could be changed.
func unsent(err error) error {
	if err == upstream.ErrUnknown {
		return upstream.ErrUnavailable
	}
	return err
}

// askedAtOnce is how many requests are sent before the replies are waited for, all of which are kept.
const askedAtOnce = 256

// ask is talk for requests that change nothing. A refusal is an error, unless it only says that
// a key is of another type: of the key nothing is known then, and it may be answered again a
// moment later, when the server has loaded its data or ended a long script.
func ask(ctx context.Context, talk talker, requests ...[]byte) (replies [][]byte, err error) {
	size := 0
	for len(requests) > 0 {
		n := min(len(requests), askedAtOnce)
		some, err := talk(ctx, requests[:n])
		if err != nil {
			return nil, unsent(err)
		}
		for _, r := range some {
			if r[0] == '-' && !bytes.HasPrefix(r, []byte("-WRONGTYPE ")) {
				return nil, replyError(r)
			}
			size += len(r)
		}
		if size > maxReply {
			return nil, errOversized
		}
		replies, requests = append(replies, some...), requests[n:]
	}
	return replies, nil
}
