package tests

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

const headerSignature = "\r\n\r\n\x00\r\nQUIT\n"

// proxyHeader is what a load balancer sends for a client.
func proxyHeader(source string, more ...byte) []byte {
	from, to := netip.MustParseAddrPort(source), netip.MustParseAddrPort("203.0.113.1:6379")
	family := byte(0x11)
	if from.Addr().Is6() {
		family, to = 0x21, netip.MustParseAddrPort("[2001:db8::1]:6379")
	}
	addresses := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	addresses = binary.BigEndian.AppendUint16(addresses, from.Port())
	addresses = append(binary.BigEndian.AppendUint16(addresses, to.Port()), more...)
	b := append([]byte(headerSignature), 0x21, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(addresses))), addresses...)
}

// balanced are tenants, one of which may only come from far away.
var balanced = []harness.Tenant{harness.Acme, harness.Globex,
	{ID: "far", Secret: "far-secret", YAML: "    networks: [192.0.2.0/24, \"2001:db8:7::/48\"]\n"},
	{ID: "near", Secret: "near-secret", YAML: "    networks: [127.0.0.0/8, unix]\n"},
}

// balancedTLS are the same, and the far one has a certificate.
func balancedTLS() []harness.Tenant {
	all := slices.Clone(balanced)
	all[2].YAML = "      worker: {certificates: [\"cn:far worker\"]}\n" + all[2].YAML
	return all
}

// from connects by way of a load balancer at an address of the loopback interface.
func from(t *testing.T, balancer, address string) *harness.Conn {
	t.Helper()
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancer)}}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &harness.Conn{Conn: conn, R: bufio.NewReader(conn)}
}

// Whom a trusted load balancer speaks for is who the client is, in plain text and with TLS.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA+"  client_auth: optional\n", harness.Options{Tenants: balancedTLS(), Top: "proxy_protocol: {trusted: [127.0.0.2], timeout: 1s}\n"})
	for _, client := range []string{"192.0.2.7:4660", "[2001:db8:7::9]:4661"} {
		plain := from(t, "127.0.0.2", p.Addr)
		// The header comes in pieces, and with the first commands.
		b := append(proxyHeader(client), harness.Request("AUTH", "far", "far-secret")...)
		for _, piece := range [][]byte{b[:5], b[5:14], b[14:20], b[20:]} {
			plain.Write(piece)
			time.Sleep(2 * time.Millisecond)
		}
		if reply, err := plain.Reply(); err != nil || reply != "+OK\r\n" {
			t.Fatalf("%q, %v", reply, err)
		}
		secure := from(t, "127.0.0.2", p.addr)
		secure.Write(proxyHeader(client))
		through := overTLS(t, secure, p.ca.Client(nil))
		expect(t, through, "+OK\r\n", "AUTH", "far", "far-secret")
		for _, c := range []*harness.Conn{plain, through} {
			if reply, err := c.Do("CLIENT", "INFO"); err != nil || !strings.Contains(reply, " addr="+client+" laddr=") || strings.Contains(reply, "127.0.0") {
				t.Errorf("%q, %v", reply, err)
			}
			expect(t, c, wrongPass, "AUTH", "near", "near-secret")
		}
	}
	// A certificate logs in where its owner may be, and nowhere else.
	cert := p.ca.Issue(t, "far", named("far worker"))
	for client, want := range map[string]string{"192.0.2.7:1": "", "198.51.100.7:1": wrongPass} {
		c := from(t, "127.0.0.2", p.addr)
		c.Write(proxyHeader(client))
		through := overTLS(t, c, p.ca.Client(cert))
		if want == "" {
			expect(t, through, bulk("far.worker"), "ACL", "WHOAMI")
		} else if reply, err := through.Reply(); err != nil || reply != want {
			t.Errorf("%q, %v", reply, err)
		}
	}
	// What a load balancer says for itself, as when it looks whether the proxy is there.
	local := from(t, "127.0.0.2", p.Addr)
	local.Write(append([]byte(headerSignature), 0x20, 0, 0, 0))
	expect(t, local, "+OK\r\n", "AUTH", "near", "near-secret")
	// Many at once, and some commands right behind.
	crowd := make([]*harness.Conn, 50)
	for i := range crowd {
		crowd[i] = from(t, "127.0.0.2", p.Addr)
		crowd[i].Write(append(proxyHeader(fmt.Sprintf("192.0.2.%d:1", i)), append(harness.Request("AUTH", "far", "far-secret"), harness.Request("PING")...)...))
	}
	for _, c := range crowd {
		for _, want := range []string{"+OK\r\n", "+PONG\r\n"} {
			if reply, err := c.Reply(); err != nil || reply != want {
				t.Errorf("%q, %v", reply, err)
			}
		}
	}
}

func overTLS(t *testing.T, c *harness.Conn, o *tls.Config) *harness.Conn {
	t.Helper()
	conn := tls.Client(c.Conn, o)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &harness.Conn{Conn: conn, R: bufio.NewReader(conn)}
}

// Who is not trusted gains nothing by a header, and who is trusted has to send one that is good.
func TestProxyHeaderForged(t *testing.T) {
	t.Parallel()
	p := startTLS(t, clientCA+"  client_auth: optional\n", harness.Options{Tenants: balancedTLS(), Top: "proxy_protocol: {trusted: [127.0.0.2], timeout: 300ms}\n"})
	none := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Tenants: balanced})
	login := harness.Request("AUTH", "far", "far-secret")
	// As a command a header is nonsense and then QUIT, whose answer is the last.
	granted := func(reply string) bool {
		reply, _ = strings.CutSuffix(reply, "-ERR unknown command '', with args beginning with: \r\n+OK\r\n")
		return strings.Contains(reply, "+")
	}
	// rest is all that comes until the connection ends.
	rest := func(c *harness.Conn) string {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		all := new(strings.Builder)
		_, err := c.R.WriteTo(all)
		if err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("the connection stays, after %q", all)
		}
		return all.String()
	}
	header := proxyHeader("192.0.2.7:4660")
	version1 := []byte("PROXY TCP4 192.0.2.7 203.0.113.1 4660 6379\r\n")
	for _, to := range []string{p.Addr, none.Addr} {
		for name, b := range map[string][]byte{
			"version 2": append(header, login...), "twice": append(append(header, header...), login...),
			"behind a command": append(append(harness.Request("PING"), header...), login...),
			"for itself":       append(append([]byte(headerSignature), 0x20, 0, 0, 0), login...),
		} {
			c := from(t, "127.0.0.1", to)
			c.Write(b)
			if reply := rest(c); granted(reply) {
				t.Errorf("%s from somebody: %q", name, reply)
			}
		}
		// Version 1 is a line like any other that is no command.
		c := from(t, "127.0.0.1", to)
		c.Write(version1)
		if reply, err := c.Reply(); err != nil || reply[0] != '-' {
			t.Errorf("%q, %v", reply, err)
		}
		expect(t, c, wrongPass, "AUTH", "far", "far-secret")
		expect(t, c, "+OK\r\n", "AUTH", "near", "near-secret")
	}
	// Ahead of a handshake a header from somebody is no handshake.
	c := from(t, "127.0.0.1", p.addr)
	c.Write(header)
	if err := tls.Client(c.Conn, p.ca.Client(nil)).Handshake(); err == nil {
		t.Error("a header from somebody was taken ahead of a handshake")
	}
	// And within TLS it is nonsense for all.
	within := overTLS(t, from(t, "127.0.0.1", p.addr), p.ca.Client(nil))
	within.Write(append(header, login...))
	if reply := rest(within); granted(reply) {
		t.Errorf("within TLS: %q", reply)
	}

	// The load balancer itself.
	long := append([]byte(headerSignature), 0x21, 0x11, 0xff, 0xff)
	unspec := append([]byte(headerSignature), 0x21, 0, 0, 0)
	udp := append([]byte(nil), header...)
	udp[13] = 0x12
	for name, b := range map[string][]byte{
		"none": login, "version 1": append(version1, login...), "too long": append(long, make([]byte, 0xffff)...),
		"of nobody": append(unspec, login...), "of UDP": append(udp, login...), "late": header[:20], "nothing": nil,
		"of two clients": append(append(header, proxyHeader("127.0.0.1:1")...), harness.Request("AUTH", "near", "near-secret")...),
	} {
		for _, to := range []string{p.Addr, p.addr} {
			c := from(t, "127.0.0.2", to)
			c.Write(b)
			if reply := rest(c); granted(reply) {
				t.Errorf("%s from a load balancer: %q", name, reply)
			}
		}
	}
	// The certificate that it says to have seen is none.
	claimed := named("far worker").Subject.CommonName
	tlv := append([]byte{0x20, 0, byte(5 + 3 + len(claimed)), 7, 0, 0, 0, 0, 0x22, 0, byte(len(claimed))}, claimed...)
	c = from(t, "127.0.0.2", p.Addr)
	c.Write(proxyHeader("192.0.2.7:4660", tlv...))
	expect(t, c, noAuth, "PING")
	expect(t, p.login(t, harness.Acme), "+PONG\r\n", "PING")
}

// Clients on the same machine come by a unix socket, and whom a load balancer speaks for that comes by it has the address
// that it says.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "riptide.sock")
	p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Tenants: balanced, Top: "unix: {listen: " + path + ", mode: 0620}\n"})
	mode(t, path, 0o620)
	dial := func() *harness.Conn {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &harness.Conn{Conn: conn, R: bufio.NewReader(conn)}
	}
	c := dial()
	expect(t, c, wrongPass, "AUTH", "far", "far-secret")
	expect(t, c, "+OK\r\n", "AUTH", "near", "near-secret")
	want := fmt.Sprintf("addr=%s:0 laddr=%s:0 ", path, path)
	if reply, err := c.Do("CLIENT", "LIST"); err != nil || !strings.Contains(reply, want) || !strings.Contains(reply, "flags=U") {
		t.Errorf("%q, %v", reply, err)
	}
	for _, words := range [][]string{{"CONFIG", "GET", "port"}, {"CONFIG", "GET", "bind"}, {"INFO", "server"}, {"CLUSTER", "INFO"}} {
		if reply, err := c.Do(words...); err != nil || strings.Contains(reply, "invalid") {
			t.Errorf("%v: %q, %v", words, reply, err)
		}
	}
	// redis-cli, and a client that is killed by its address.
	if out, err := exec.Command("redis-cli", "-s", path, "--user", "near", "--pass", "near-secret", "--no-auth-warning", "PING").Output(); string(out) != "PONG\n" {
		t.Errorf("%q, %v", out, err)
	}
	killer := dial()
	expect(t, killer, "+OK\r\n", "AUTH", "near", "near-secret")
	expect(t, killer, ":1\r\n", "CLIENT", "KILL", "ADDR", path+":0")
	closes(t, c, "killed")
	// A forged header is nonsense here too.
	forged := dial()
	forged.Write(append(proxyHeader("192.0.2.7:1"), harness.Request("AUTH", "far", "far-secret")...))
	if reply, err := forged.Reply(); err == nil && strings.HasPrefix(reply, "+OK") {
		t.Errorf("%q", reply)
	}
	// A process that has crashed leaves its socket behind, which the next one replaces, and one that ends removes it.
	p.Kill()
	mode(t, path, 0o620)
	p.StartAgain(t)
	expect(t, dial(), "+OK\r\n", "AUTH", "near", "near-secret")
	p.Cmd.Process.Signal(syscall.SIGTERM)
	if _, ok := p.Wait(10 * time.Second); !ok {
		t.Fatal("it does not end")
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
}

func TestUnixSocketBalanced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "riptide.sock")
	harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Tenants: balanced,
		Top: "unix: {listen: " + path + "}\nproxy_protocol: {trusted: [unix], timeout: 300ms}\n"})
	mode(t, path, 0o600)
	dial := func(b []byte) *harness.Conn {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.Write(b)
		return &harness.Conn{Conn: conn, R: bufio.NewReader(conn)}
	}
	c := dial(proxyHeader("192.0.2.7:4660"))
	expect(t, c, wrongPass, "AUTH", "near", "near-secret") // it has not come by the socket itself
	expect(t, c, "+OK\r\n", "AUTH", "far", "far-secret")
	if reply, err := c.Do("CLIENT", "INFO"); err != nil || !strings.Contains(reply, " addr=192.0.2.7:4660 ") || strings.Contains(reply, "flags=U") {
		t.Errorf("%q, %v", reply, err)
	}
	closes(t, dial(harness.Request("AUTH", "near", "near-secret")), "no header")
	closes(t, dial(nil), "nothing")
}

// Tenants' networks hold for every way to log in, and tell nobody whether a secret is right.
func TestNetworks(t *testing.T) {
	t.Parallel()
	people := harness.Tenant{ID: "people", Secret: "people-secret", YAML: "      person: {argon2id: ['" + config.HashArgon2id("correct horse") + "']}\n    networks: [127.0.0.3]\n"}
	gone := harness.Tenant{ID: "gone", Secret: "gone-secret", YAML: "    networks: [192.0.2.0/24]\n    suspended: true\n"}
	p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Tenants: append([]harness.Tenant{people, gone}, balanced...)})
	for address, ok := range map[string]bool{"127.0.0.3": true, "127.0.0.1": false} {
		for _, words := range [][]string{
			{"AUTH", "people", "people-secret"}, {"AUTH", "people-secret"}, {"AUTH", "default", "people-secret"},
			{"AUTH", "people.person", "correct horse"}, {"AUTH", "people.person", "correct horse"}, // found out, and remembered
			{"HELLO", "3", "AUTH", "people", "people-secret"},
		} {
			c := from(t, address, p.Addr)
			reply, err := c.Do(words...)
			if err != nil || ok == (reply == wrongPass) || !ok && reply != wrongPass {
				t.Errorf("%v from %s: %q, %v", words, address, reply, err)
			}
		}
	}
	// Not even that the tenant is suspended.
	c := from(t, "127.0.0.1", p.Addr)
	expect(t, c, wrongPass, "AUTH", "gone", "gone-secret")
	// To become somebody else does not get around it.
	expect(t, c, "+OK\r\n", "AUTH", "near", "near-secret")
	expect(t, c, wrongPass, "AUTH", "people", "people-secret")
	expect(t, c, bulk("near"), "ACL", "WHOAMI")
	if n := metric(t, p, "riptide_logins_elsewhere_total"); n < 7 {
		t.Error(n)
	}
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != want || info.Mode().Type() != os.ModeSocket {
		t.Errorf("%v, %v", info, err)
	}
}
