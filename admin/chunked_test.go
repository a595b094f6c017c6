package admin

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request in chunks that has a length too may be read differently by a proxy in front: what follows on the connection
// is not taken for another request.
func TestChunkedIsLast(t *testing.T) {
	w := newWorld(t, "")
	c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	const head = " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator-token\r\n"
	if _, err := c.Write([]byte("POST /admin/state/reload" + head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin/plans" + head + "\r\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != http.StatusOK || !r.Close {
		t.Fatalf("%+v %v", r, err)
	}
	r.Body.Close()
	if r, err := http.ReadResponse(in, nil); err == nil {
		t.Fatalf("another answer: %+v", r)
	}
}
