package dictionary

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// random makes what programs store, the same for the same seed.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 7))} }

func (r random) text(n int, of string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

func (r random) hex(n int) string { return r.text(n, "0123456789abcdef") }

func (r random) pick(of ...string) string { return of[r.IntN(len(of))] }

func (r random) time() string {
	return time.Unix(1790000000+r.Int64N(4_000_000), 0).UTC().Format(time.RFC3339)
}

func (r random) words(n int) string {
	words := strings.Fields("order the house with light river green paper small window price table letter summer delivery simple large blue cotton metal kitchen garden quick silent double market round silver open cold")
	var all []string
	for range n {
		all = append(all, words[r.IntN(len(words))])
	}
	return strings.Join(all, " ")
}

// encode is the value's JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// session is what a web application keeps of somebody who is logged in: about 300 bytes, of which every value
// has some 60 to itself.
func (r random) session() []byte {
	first, last := r.pick("anna", "ben", "carla", "david", "eva", "femi", "greta", "hugo"), r.pick("smith", "meyer", "lopez", "chen", "novak", "okafor", "rossi", "larsen")
	return encode(struct {
		UserID  int      `json:"user_id"`
		Name    string   `json:"name"`
		Email   string   `json:"email"`
		Roles   []string `json:"roles"`
		CSRF    string   `json:"csrf_token"`
		Created string   `json:"created_at"`
		Seen    string   `json:"last_seen"`
		IP      string   `json:"ip"`
		Agent   string   `json:"user_agent"`
		Lang    string   `json:"language"`
		Cart    int      `json:"cart_items"`
		Theme   string   `json:"theme"`
	}{r.IntN(10_000_000), first + " " + last, fmt.Sprintf("%s.%s%d@%s", first, last, r.IntN(1000), r.pick("example.com", "example.org", "mail.example.net")),
		[]string{r.pick("customer", "customer", "customer", "editor", "admin")}, r.hex(16), r.time(), r.time(),
		fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256)),
		r.pick("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "Mozilla/5.0 (Macintosh) Safari/605.1.15", "Mozilla/5.0 (Windows NT 10.0) Chrome/126.0"),
		r.pick("en", "de", "fr", "es"), r.IntN(10), r.pick("dark", "light")})
}

// login is a session with another layout: for a program that was changed.
func (r random) login() []byte {
	return encode(map[string]any{
		"v": 2, "subject": fmt.Sprintf("acct_%s", r.text(10, "abcdefghijklmnopqrstuvwxyz")), "tenant": r.pick("north", "south", "west"),
		"scopes":   []string{"openid", "profile", r.pick("offline_access", "billing:read", "orders:write")},
		"issuedAt": 1790000000 + r.IntN(4_000_000), "expiresIn": 3600, "device": map[string]any{"platform": r.pick("android", "ios", "web"), "build": 4000 + r.IntN(40), "pushEnabled": r.IntN(2) == 0},
		"experiments": map[string]any{"newCheckout": r.IntN(2) == 0, "rankingModel": r.pick("baseline", "boosted")},
	})
}

// document is what an API answers: about 2 KiB.
func (r random) document() []byte {
	type line struct {
		SKU      string  `json:"sku"`
		Title    string  `json:"title"`
		Quantity int     `json:"quantity"`
		Price    float64 `json:"unit_price"`
		Currency string  `json:"currency"`
		Status   string  `json:"fulfillment_status"`
	}
	var lines []line
	for range 10 + r.IntN(4) {
		lines = append(lines, line{fmt.Sprintf("SKU-%06d", r.IntN(1_000_000)), r.words(4), 1 + r.IntN(5), float64(r.IntN(20_000)) / 100, "EUR", r.pick("pending", "shipped", "delivered")})
	}
	return encode(map[string]any{"id": r.hex(24), "object": "order", "created_at": r.time(), "line_items": lines,
		"customer": map[string]any{"id": r.IntN(100_000), "note": r.words(12)}, "shipping_address": map[string]any{"street": r.words(2), "zip": r.text(5, "0123456789"), "country": r.pick("DE", "FR", "ES")}})
}

// counter is a short value with a layout: about 90 bytes.
func (r random) counter() []byte {
	return fmt.Appendf(nil, `{"bucket":"%s","remaining":%d,"limit":1000,"reset_at":%d,"window_seconds":60}`, r.hex(8), r.IntN(1000), 1790000000+r.IntN(4_000_000))
}

// noise is as long as a session and has nothing in common with any other.
func (r random) noise() []byte {
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// many calls make n times.
func many(n int, make func() []byte) [][]byte {
	var all [][]byte
	for range n {
		all = append(all, make())
	}
	return all
}
