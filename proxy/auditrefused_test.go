package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// sums are how many refusals were recorded, by event, outcome and reason, and in how many records.
func sums(lines []auditLine) (counts map[string]int, records int) {
	counts = make(map[string]int)
	for _, l := range lines {
		if l.Event == "quota" || l.Event == "login" && l.Outcome == outcomeOK {
			continue
		}
		records++
		counts[strings.TrimSpace(l.Event+" "+l.Outcome+" "+l.Reason)] += max(1, l.Count)
	}
	return counts, records
}

// Whoever is refused before it is anybody shows in the log with the reason, whatever that is.
func TestAuditRejected(t *testing.T) {
	t.Parallel()
	hash := config.HashArgon2id("correct horse")
	s, lines := startAudited(t, "level: none", options{
		limits: "clients: 7, auth_timeout: 1m",
		top:    "proxy_protocol: {trusted: [127.0.0.2], timeout: 1m}\n",
		tenants: "  slow: {users: {default: {argon2id: ['" + hash + "']}}}\n" +
			"  far: {networks: [192.0.2.0/24], users: {default: {sha256: [" + hashOf("far") + "]}}}\n" +
			"  small: {quotas: {connections: 1}, users: {default: {sha256: [" + hashOf("small") + "]}}}\n",
	})
	from := func(local string) *client {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
		conn, err := d.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		return &client{&harness.Conn{Conn: conn, R: bufio.NewReader(conn)}, t}
	}
	noHeader, silent := from("127.0.0.2"), from("127.0.0.2")

	s.queue.Add(maxLogins)
	dial(t, s).expect("-UNAVAILABLE too many logins are being checked, try again\r\n", "AUTH", "slow", "correct horse")
	s.queue.Add(-maxLogins)
	dial(t, s).expect(wrongPass, "AUTH", "far", secretOf("far"))
	first := login(t, s, "small")
	dial(t, s).expect("-ERR max number of clients reached: tenant small has its quota of 1 connections\r\n", "AUTH", "small", secretOf("small"))
	dial(t, s) // the seventh, that says nothing
	from("127.0.0.3").read(string(tooMany))
	noHeader.write([]byte("PING\r\n\r\n\r\n\r\n\r\n"))
	noHeader.ends()
	onLoop(t, s.workers[0], func() {
		w := s.workers[0]
		for h := range w.headers {
			h.born -= int64(time.Hour)
		}
		for _, c := range w.sessions {
			c.born -= int64(time.Hour)
		}
		w.tick()
	})
	silent.ends()
	harness.Eventually(t, "who has not logged in is gone", func() bool { return s.clients.Load() == 1 })
	wild := dial(t, s)
	wild.write([]byte("*1\r\n$99999999\r\n"))
	wild.next()
	wild.ends()
	first.expect("+PONG\r\n", "PING")
	got := lines()
	counts, _ := sums(got)
	for want, n := range map[string]int{
		"rejected full":    1,
		"rejected timeout": 4,
		"login UNAVAILABLE too many logins are being checked, try again":                       1,
		"login WRONGPASS " + elsewhereReason:                                                   1,
		"login ERR max number of clients reached: tenant small has its quota of 1 connections": 1,
		"rejected protocol Protocol error: unauthenticated bulk length":                        1,
	} {
		if counts[want] != n {
			t.Errorf("%s: %d, want %d", want, counts[want], n)
		}
	}
	headers := 0
	for _, l := range got {
		switch {
		case l.Event == "quota":
		case l.Client == "":
			t.Errorf("no client: %+v", l)
		case l.Event == "rejected" && l.Outcome == rejectedHeader:
			headers += max(1, l.Count)
			if !strings.HasPrefix(l.Client, "127.0.0.2") {
				t.Errorf("%+v", l)
			}
		case l.Outcome == rejectedFull && !strings.HasPrefix(l.Client, "127.0.0.3:"), l.Outcome == "UNAVAILABLE" && (l.Tenant != "slow" || l.User != "default"):
			t.Errorf("%+v", l)
		}
	}
	if headers != 2 {
		t.Errorf("%d without a header: %v", headers, counts)
	}
}

// A handshake that fails is recorded with the reason, that of whoever leaves by itself is not.
func TestAuditHandshakes(t *testing.T) {
	t.Parallel()
	ca := harness.NewAuthority(t, "the test's authority")
	server := ca.Server(t, "server")
	s, lines := startAudited(t, "level: none", options{top: fmt.Sprintf("tls: {listen: 127.0.0.1:0, cert: %s, key: %s, client_ca: %s, handshakes: 1, handshake_timeout: 300ms}\n", server.Cert, server.Key, ca.File)})
	dialTCP := func() net.Conn {
		c, err := net.Dial("tcp", s.AddrTLS().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	ended := func(c net.Conn) {
		t.Helper()
		for b := make([]byte, 1000); ; {
			if _, err := c.Read(b); err != nil {
				if e, timeout := err.(net.Error); timeout && e.Timeout() {
					t.Fatal(err)
				}
				return
			}
		}
	}
	leaves := dialTCP()
	leaves.Close()
	harness.Eventually(t, "who leaves has left", func() bool { return s.doors.stats().TLS.Failed == 1 })
	for _, o := range []*tls.Config{ca.Client(nil), ca.Client(harness.NewAuthority(t, "another").Issue(t, "stranger", x509.Certificate{}))} {
		o.GetClientCertificate = nil
		c := tls.Client(dialTCP(), o)
		c.Handshake()
		ended(c)
		harness.Eventually(t, "it is over", func() bool { return s.doors.stats().TLS.Shaking == 0 })
	}
	plain := dialTCP()
	plain.Write([]byte("PING\r\nPING\r\n"))
	ended(plain)
	harness.Eventually(t, "it is over", func() bool { return s.doors.stats().TLS.Shaking == 0 })
	crowded, last := dialTCP(), net.Conn(nil)
	harness.Eventually(t, "it is at its handshake", func() bool { return s.doors.stats().TLS.Shaking == 1 })
	last = dialTCP()
	ended(crowded)
	ended(last) // in time
	harness.Eventually(t, "all are counted", func() bool { return s.doors.stats().TLS.Failed == 6 })
	counts := make(map[string]int)
	for _, l := range lines() {
		counts[l.Event+" "+l.Outcome] += max(1, l.Count)
		if !strings.HasPrefix(l.Client, "127.0.0.1") {
			t.Errorf("%+v", l)
		}
	}
	if counts["rejected certificate"] != 2 || counts["rejected handshake"] != 2 || counts["rejected crowded"] != 1 || len(counts) != 3 {
		t.Errorf("%v", counts)
	}
}

// However often strangers try, with whatever names and commands, the log has few records, and all are counted.
func TestAuditIsNotFlooded(t *testing.T) {
	t.Parallel()
	var tenants strings.Builder
	for i := range 50 {
		fmt.Fprintf(&tenants, "  t%d: {users: {default: {sha256: [%s]}}}\n", i, hashOf(fmt.Sprint("t", i)))
	}
	s, lines := startAudited(t, "level: all", options{tenants: tenants.String()})
	const rounds = 200
	began := time.Now()
	for range rounds {
		c := dial(t, s)
		var send []string
		for i := range 50 {
			send = append(send, fmt.Sprintf("AUTH t%d wrong", i), "GET k", "SET k v", "AUTH nobody wrong")
		}
		c.send(send...)
		for range send {
			c.next()
		}
		c.Close()
	}
	seconds := int(time.Since(began)/time.Second) + 2
	counts, records := sums(lines())
	if most := seconds * 2 * (8 + 2); records > most {
		t.Errorf("%d records in %d seconds, want %d at most: %v", records, seconds, most, counts)
	}
	refused, logins := 0, 0
	for what, n := range counts {
		switch {
		case strings.HasPrefix(what, "refused NOAUTH"):
			refused += n
		case strings.HasPrefix(what, "login WRONGPASS"):
			logins += n
		default:
			t.Errorf("%s: %d", what, n)
		}
	}
	if refused != rounds*100 || logins != rounds*100 {
		t.Errorf("%d commands and %d logins were recorded of %d each", refused, logins, rounds*100)
	}
}
