package main

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// Who starts two proxies on one port, or on an address of another machine, is told so.
func TestAdvice(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for address, want := range map[string]string{
		first.Addr().String(): "address already in use: something else listens there",
		"192.0.2.1:0":         "cannot assign requested address: this machine does not have that address",
	} {
		ln, err := net.Listen("tcp", address)
		if err == nil {
			ln.Close()
			t.Fatalf("%s could be listened on", address)
		}
		if got := advised(err).Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", address, got)
		}
	}
	if err := errors.New("another one"); advised(err) != err {
		t.Error(advised(err))
	}
}
