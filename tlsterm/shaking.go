package tlsterm

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"strings"
)

// shaking is a connection at its handshake. While that computes it has a turn, of which there are few; it gives that
// back while it waits for the peer.
type shaking struct {
	net.Conn
	by        *Terminator
	place     *list.Element // guarded by by.mu; nil: it does not wait for the peer
	computing bool          // or would, if it did not wait
	over      bool          // the handshake is
	ousted    bool          // guarded by by.mu; it has made room
}

// ErrCrowded tells that a handshake was broken off, or not begun, since there are too many.
var ErrCrowded = errors.New("too many are at their handshake")

// OfCertificate reports whether a handshake has failed because of the client's certificate, or for want of one.
func OfCertificate(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad) || err != nil && strings.Contains(err.Error(), "client didn't provide a certificate") // which is no value
}

// enter notes a connection that begins its handshake. When there are too many the one makes room that has waited
// longest for its peer: those who mean to connect do not keep the proxy waiting.
func (t *Terminator) enter(raw net.Conn) (*shaking, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, net.ErrClosed
	}
	if len(t.shaking) >= t.most {
		t.crowded.Add(1)
		longest := t.waiting.Front()
		if longest == nil {
			return nil, ErrCrowded
		}
		s := longest.Value.(*shaking)
		s.ousted = true
		s.Conn.Close()
		t.forget(s)
	}
	s := &shaking{Conn: raw, by: t}
	t.shaking[s] = struct{}{}
	return s, nil
}

// leave notes the end of a handshake, and returns the error that it has ended with.
func (t *Terminator) leave(s *shaking, err error) error {
	s.over = true
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(s)
	if s.ousted && errors.Is(err, net.ErrClosed) {
		return ErrCrowded
	}
	return err
}

// forget does nothing for one that has made room. t.mu is held.
func (t *Terminator) forget(s *shaking) {
	delete(t.shaking, s)
	t.busy(s)
}

// busy notes that it does not wait for its peer. t.mu is held.
func (t *Terminator) busy(s *shaking) {
	if s.place != nil {
		t.waiting.Remove(s.place)
		s.place = nil
	}
}

// during runs the handshake.
func (s *shaking) during(handshake func() error) error {
	s.by.computing <- struct{}{}
	s.computing = true
	defer func() {
		s.computing = false
		<-s.by.computing
	}()
	return handshake()
}

// Read implements net.Conn.
func (s *shaking) Read(b []byte) (int, error) {
	if s.over {
		return s.Conn.Read(b)
	}
	defer s.wait()()
	return s.Conn.Read(b)
}

// Write implements net.Conn.
func (s *shaking) Write(b []byte) (int, error) {
	if s.over {
		return s.Conn.Write(b)
	}
	defer s.wait()()
	return s.Conn.Write(b)
}

// wait notes that the connection waits for its peer, until resume.
func (s *shaking) wait() (resume func()) {
	t := s.by
	t.mu.Lock()
	_, here := t.shaking[s]
	if here {
		s.place = t.waiting.PushBack(s)
	}
	t.mu.Unlock()
	if !here { // it has made room
		return func() {}
	}
	if s.computing {
		<-t.computing
	}
	return func() {
		t.mu.Lock()
		t.busy(s)
		t.mu.Unlock()
		if s.computing {
			t.computing <- struct{}{}
		}
	}
}
