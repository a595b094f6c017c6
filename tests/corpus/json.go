package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// encode is JSON as most programs write it, with <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // of the types below it takes everything
	}
	return bytes.TrimSpace(b.Bytes())
}

type session struct {
	UserID    int       `json:"user_id"`
	Name      string    `json:"name"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	CSRF      string    `json:"csrf_token"`
	IP        string    `json:"ip"`
	Agent     string    `json:"agent"`
	Locale    string    `json:"locale"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"last_seen_at"`
	Cart      []item    `json:"cart"`
}

type item struct {
	SKU string `json:"sku"`
	Qty int    `json:"qty"`
}

// Session is what a web application keeps of a visitor who is logged in: JSON of about 300 bytes.
func Session(i int) []byte {
	s := newSource(1, uint64(i))
	p := s.person()
	created := s.moment().Truncate(time.Second)
	v := session{
		UserID: 1000 + s.IntN(2_000_000), Name: p.first + " " + p.last, Email: p.email,
		Roles: []string{s.pick("customer", "customer", "customer", "editor", "admin")},
		CSRF:  s.token(22), IP: fmt.Sprintf("%d.%d.%d.%d", 1+s.IntN(223), s.IntN(256), s.IntN(256), 1+s.IntN(254)),
		Agent: s.pick("Firefox", "Chrome", "Chrome", "Chrome", "Safari", "Edge") + "/" + fmt.Sprint(120+s.IntN(30)) + " " +
			s.pick("Windows", "Windows", "macOS", "iOS", "Android", "Linux"),
		Locale:    s.pick("en-GB", "en-US", "en-US", "de-DE", "fr-FR", "es-ES", "pt-BR", "it-IT", "nl-NL", "sv-SE"),
		CreatedAt: created, SeenAt: created.Add(time.Duration(s.IntN(90_000)) * time.Second), Cart: []item{},
	}
	for range s.IntN(3) {
		v.Cart = append(v.Cart, item{fmt.Sprintf("%s-%05d", s.pick("BK", "EL", "GD", "KT", "TX", "SP"), s.IntN(100_000)), 1 + s.IntN(4)})
	}
	return encode(v)
}

type order struct {
	ID        string  `json:"id"`
	Number    int     `json:"number"`
	Status    string  `json:"status"`
	Currency  string  `json:"currency"`
	Total     float64 `json:"total"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
	Customer  struct {
		ID    int    `json:"id"`
		Name  string `json:"name"`
		Email string `json:"email"`
		City  string `json:"city"`
	} `json:"customer"`
	Lines []line `json:"lines"`
	Note  string `json:"note"`
	Href  string `json:"href"`
}

type line struct {
	ProductID int     `json:"product_id"`
	SKU       string  `json:"sku"`
	Title     string  `json:"title"`
	Quantity  int     `json:"quantity"`
	Price     float64 `json:"unit_price"`
	Taxable   bool    `json:"taxable"`
}

func (s *source) price() float64 { return float64(s.IntN(50_000)) / 100 }

func (s *source) order() order {
	p := s.person()
	o := order{
		ID: s.uuid(), Number: 100_000 + s.IntN(900_000), Status: s.pick("pending", "paid", "paid", "shipped", "delivered", "cancelled"),
		Currency: s.pick("EUR", "EUR", "USD", "GBP", "SEK"), Total: s.price(), CreatedAt: s.timestamp(), UpdatedAt: s.timestamp(),
		Lines: []line{},
	}
	o.Customer.ID, o.Customer.Name, o.Customer.Email, o.Customer.City = s.IntN(1_000_000), p.first+" "+p.last, p.email, s.pick(cities...)
	for range 1 + s.IntN(4) {
		o.Lines = append(o.Lines, line{s.IntN(100_000), strings.ToUpper(s.token(3)) + "-" + s.chars(5, digits), capital(s.words(2 + s.IntN(3))),
			1 + s.IntN(5), s.price(), s.IntN(4) > 0})
	}
	if s.IntN(3) == 0 {
		o.Note = s.sentence()
	}
	o.Href = "https://api.shop.example/v2/orders/" + o.ID
	return o
}

// Document is the answer of an API, a page of a list of orders: JSON of at least size bytes, and longer by one
// order at most.
func Document(i, size int) []byte {
	s := newSource(2, uint64(i))
	page := struct {
		Object  string  `json:"object"`
		Page    int     `json:"page"`
		Total   int     `json:"total_count"`
		Next    string  `json:"next_cursor"`
		Request string  `json:"request_id"`
		Data    []order `json:"data"`
	}{Object: "list", Page: 1 + s.IntN(40), Total: s.IntN(5000), Next: s.token(24), Request: "req_" + s.token(16)}
	for {
		page.Data = append(page.Data, s.order())
		if b := encode(page); len(b) >= size {
			return b
		}
	}
}
