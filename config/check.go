package config

import (
	"cmp"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// check looks at everything decoding could not judge by a value's type.
func (l *loader) check() {
	l.checkListeners()
	l.checkTLS()
	l.checkUnix()
	l.checkProxyProtocol()
	l.checkLimits()
	l.checkState()
	l.checkUpstream()
	l.checkAdmin()
	l.checkPlans()
	l.checkUsage()
	l.checkAudit()
	l.checkTracing()
	l.checkEncryptionKeys()
	l.checkJWT()
	l.checkTenants()
}

func (l *loader) checkListeners() {
	s, c := l.main, l.config
	if c.Listen != NoListener {
		s.checkAddress("listen", c.Listen, 0)
	} else if c.TLS == nil && c.Unix == nil {
		s.errorf("listen", "is none, and there is neither tls nor unix: nobody could connect")
	}
	if c.Announce != "" {
		s.checkAddress("announce", c.Announce, 1)
		if !c.ClusterFacade && !s.bad["cluster_facade"] {
			s.errorf("announce", "nobody is told of it without cluster_facade: true")
		}
	}
	if c.Admin.Listen != "" {
		s.checkAddress("admin.listen", c.Admin.Listen, 0)
		if sameAddress(c.Listen, c.Admin.Listen) {
			s.errorf("admin.listen", "is the address that clients connect to (listen: %s)", s.quote("listen", c.Listen))
		}
	}
}

func (l *loader) checkLimits() {
	s, c := l.main, l.config
	within(s, "loops", c.Loops, 0, 256)
	within(s, "shutdown_timeout", c.ShutdownTimeout, 0, Duration(time.Hour))

	within(s, "limits.clients", c.Limits.Clients, 1, 1_000_000)
	within(s, "limits.bulk", c.Limits.Bulk, KiB, 512*MiB)
	within(s, "limits.request", c.Limits.Request, KiB, 2*GiB)
	if c.Limits.Request < c.Limits.Bulk && !s.bad["limits.request"] && !s.bad["limits.bulk"] {
		s.errorf("limits.request", "%v is less than limits.bulk (%v), so an argument of that length could never arrive",
			c.Limits.Request, c.Limits.Bulk)
	}
	within(s, "limits.output_buffer", c.Limits.OutputBuffer, MiB, TiB)
	within(s, "limits.auth_timeout", c.Limits.AuthTimeout, shortest, Duration(time.Hour))
}

// shortest is the least time that is good for waiting on a network.
const shortest = Duration(10 * time.Millisecond)

// within reports a value outside its bounds. A value that could not be decoded
// was reported already, and has its default.
func within[T interface {
	int | Size | Duration
}](s *source, path string, value, least, most T) {
	if value < least || value > most {
		s.errorf(path, "%v is out of range (%v to %v)", value, least, most)
	}
}

func (l *loader) checkUpstream() {
	s, u := l.main, l.config.Upstream
	within(s, "upstream.connect_timeout", u.ConnectTimeout, shortest, Duration(10*time.Minute))
	within(s, "upstream.timeout", u.Timeout, shortest, Duration(time.Hour))
	within(s, "upstream.subscriber_connections", u.SubscriberConnections, -1, 1_000_000)
	for i, a := range u.Addresses {
		s.checkUpstreamAddress(index("upstream.addresses", i), a)
	}
	if s.bad["upstream"] || s.bad["upstream.mode"] {
		return
	}
	switch u.Mode {
	case Embedded:
		for key, given := range map[string]bool{
			"addresses": len(u.Addresses) > 0, "username": u.Username != "", "password": u.Password != "",
		} {
			if given {
				s.errorf("upstream."+key, "the embedded upstream has none; for a real one say mode: standalone")
			}
		}
	case Standalone:
		switch {
		case s.bad["upstream.addresses"]:
		case len(u.Addresses) == 0:
			s.errorf("upstream.addresses", "is missing: give the host:port of the upstream, or mode: embedded to try things out")
		case len(u.Addresses) > 1:
			s.errorf("upstream.addresses", "has %d addresses, but mode standalone takes one", len(u.Addresses))
		}
		if u.Username != "" && u.Password == "" && !s.bad["upstream.password"] {
			s.errorf("upstream.username", "needs upstream.password with it")
		}
	default:
		s.errorf("upstream.mode", "%s is not supported yet", u.Mode)
	}
}

func (l *loader) checkPlans() {
	s := l.main
	for _, name := range sorted(s, "plans", l.config.Plans) {
		path := join("plans", name)
		if !tenantID.MatchString(name) {
			s.errorf(path, "%s is not a plan's name (%s)", quote(name), tenantIDGrammar)
		}
		s.checkQuotas(path, &l.config.Plans[name].Quotas, nil)
		l.checkPrices(path, l.config.Plans[name])
		l.notYet(place{s, join(path, "cold_storage")}, "cold_storage")
	}
	a := &l.config.Accounting
	if a.Interval != 0 {
		within(s, "accounting.interval", a.Interval, Duration(time.Second), Duration(24*time.Hour))
	}
	within(s, "accounting.commands_per_second", int(a.CommandsPerSecond), 1, 1_000_000)
}

// notYet warns, once for each feature, that a key has no effect: nobody shall
// believe in a limit that is not enforced.
func (l *loader) notYet(at place, feature string) {
	if !at.has(at.path) {
		return
	}
	at.warned = true
	l.uses[feature]++
	if _, warned := l.pending[feature]; !warned {
		l.pending[feature] = len(l.warnings)
		l.warn(at, feature+" is not in effect yet")
	}
}

func (l *loader) warn(at place, text string) {
	at.warned = true
	l.warnings = append(l.warnings, Warning{File: at.file, Line: at.line(at.path), Text: text})
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$`)

// checkAddress wants host:port, with a port of at least leastPort (0 lets a
// listener take any).
func (s *source) checkAddress(path, address string, leastPort int) {
	if s.bad[path] {
		return
	}
	if strings.ContainsAny(address, "@/") {
		// Not shown, because a URL may have a password in it.
		s.errorf(path, "expected host:port, without scheme, user or path")
		return
	}
	shown := s.quote(path, address)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		s.errorf(path, "%s is not host:port (examples: 127.0.0.1:6379, [::1]:6379)", shown)
		return
	}
	if host == "" {
		s.errorf(path, "%s has no host (0.0.0.0 and [::] listen on every interface)", shown)
	} else if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		s.errorf(path, "%s has a bad host", shown)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || int(n) < leastPort {
		s.errorf(path, "%s has a bad port (%d to 65535)", shown, leastPort)
	}
}

// sameAddress tells whether two listeners would get in each other's way.
func sameAddress(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB) || local(hostA) && local(hostB)
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// onlyHere tells whether nobody but this machine reaches an address.
func onlyHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, _ := netip.ParseAddr(host)
	return err != nil || host == "localhost" || ip.IsLoopback()
}

func local(host string) bool {
	ip, _ := netip.ParseAddr(cmp.Or(map[string]string{"localhost": "127.0.0.1"}[host], host))
	return ip == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
