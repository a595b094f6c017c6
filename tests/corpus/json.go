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

// cookie, passport and csrfSecret are what the usual libraries of Node.js keep in a session.
type session struct {
	Cookie   cookie   `json:"cookie"`
	CSRF     string   `json:"csrfSecret"`
	Passport passport `json:"passport"`
	Locale   string   `json:"locale"`
	Currency string   `json:"currency"`
	Cart     []item   `json:"cart"`
}

type cookie struct {
	MaxAge   int64  `json:"originalMaxAge"`
	Expires  string `json:"expires"`
	Secure   bool   `json:"secure"`
	HTTPOnly bool   `json:"httpOnly"`
	Path     string `json:"path"`
	SameSite string `json:"sameSite"`
}

type passport struct {
	User struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
		Role string `json:"role"`
	} `json:"user"`
}

type item struct {
	Product  int `json:"productId"`
	Quantity int `json:"quantity"`
}

// Session is what a web application keeps of a visitor who is logged in: JSON of about 300 bytes.
func Session(i int) []byte {
	s := newSource(1, uint64(i))
	v := session{
		Cookie: cookie{MaxAge: 1_209_600_000, Expires: s.moment().Format(milliseconds), Secure: true, HTTPOnly: true, Path: "/", SameSite: "lax"},
		CSRF:   s.token(24), Cart: []item{},
		Locale:   s.pick("en-GB", "en-US", "en-US", "de-DE", "fr-FR", "es-ES", "pt-BR", "it-IT", "nl-NL", "sv-SE"),
		Currency: s.pick("EUR", "EUR", "USD", "GBP", "SEK"),
	}
	p := s.person()
	v.Passport.User.ID, v.Passport.User.Name = 1000+s.IntN(2_000_000), p.first+" "+p.last
	v.Passport.User.Role = s.pick("customer", "customer", "customer", "editor", "admin")
	for range s.IntN(3) {
		v.Cart = append(v.Cart, item{s.IntN(100_000), 1 + s.IntN(4)})
	}
	return encode(v)
}

type order struct {
	ID          string   `json:"id"`
	Number      int      `json:"order_number"`
	Financial   string   `json:"financial_status"`
	Fulfillment *string  `json:"fulfillment_status"`
	Currency    string   `json:"currency"`
	Total       string   `json:"total_price"`
	Tax         string   `json:"total_tax"`
	TaxIncluded bool     `json:"taxes_included"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
	CancelledAt *string  `json:"cancelled_at"`
	Customer    customer `json:"customer"`
	Lines       []line   `json:"line_items"`
	Note        *string  `json:"note"`
	Href        string   `json:"href"`
}

type customer struct {
	ID        int    `json:"id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	City      string `json:"city"`
	Marketing bool   `json:"accepts_marketing"`
}

type line struct {
	ID       int     `json:"id"`
	Product  int     `json:"product_id"`
	SKU      string  `json:"sku"`
	Title    string  `json:"title"`
	Variant  *string `json:"variant_title"`
	Quantity int     `json:"quantity"`
	Price    string  `json:"price"`
	Discount string  `json:"total_discount"`
	Taxable  bool    `json:"taxable"`
	Shipping bool    `json:"requires_shipping"`
	GiftCard bool    `json:"gift_card"`
}

const milliseconds = "2006-01-02T15:04:05.000Z"

func (s *source) price() string { return fmt.Sprintf("%d.%02d", s.IntN(400), s.IntN(100)) }

func (s *source) order() order {
	p := s.person()
	created := s.moment()
	o := order{
		ID: s.uuid(), Number: 100_000 + s.IntN(900_000), Financial: s.pick("pending", "paid", "paid", "paid", "refunded"),
		Currency: s.pick("EUR", "EUR", "USD", "GBP", "SEK"), Total: s.price(), Tax: s.price(), TaxIncluded: s.IntN(5) > 0,
		CreatedAt: created.Format(time.RFC3339), UpdatedAt: created.Add(time.Duration(s.IntN(500_000)) * time.Second).Format(time.RFC3339),
		Customer: customer{s.IntN(1_000_000), p.first, p.last, p.email, s.pick(cities...), s.IntN(2) == 0},
	}
	if s.IntN(2) == 0 {
		o.Fulfillment = new(s.pick("fulfilled", "partial"))
	}
	for range 1 + s.IntN(4) {
		l := line{ID: s.IntN(10_000_000), Product: s.IntN(100_000), SKU: strings.ToUpper(s.token(3)) + "-" + s.chars(5, digits),
			Title: capital(s.words(2 + s.IntN(3))), Quantity: 1 + s.IntN(5), Price: s.price(), Discount: "0.00", Taxable: true, Shipping: s.IntN(4) > 0}
		if s.IntN(3) == 0 {
			l.Variant = new(s.pick("S", "M", "L", "XL", "blue", "black", "white"))
		}
		o.Lines = append(o.Lines, l)
	}
	if s.IntN(4) == 0 {
		o.Note = new(s.sentence())
	}
	o.Href = "https://api.shop.example/v2/orders/" + o.ID
	return o
}

type product struct {
	ID        int      `json:"id"`
	Title     string   `json:"title"`
	Vendor    string   `json:"vendor"`
	Kind      string   `json:"product_type"`
	Status    string   `json:"status"`
	Price     string   `json:"price"`
	CompareAt *string  `json:"compare_at_price"`
	Currency  string   `json:"currency"`
	Inventory int      `json:"inventory_quantity"`
	Tags      []string `json:"tags"`
	Image     string   `json:"image"`
	UpdatedAt string   `json:"updated_at"`
}

func (s *source) product() product {
	p := product{
		ID: s.IntN(10_000_000), Title: capital(s.words(2 + s.IntN(3))), Vendor: s.pick(lastNames...) + s.pick("", " & Co", " GmbH", " Ltd"), Kind: s.word(),
		Status: s.pick("active", "active", "active", "draft"), Price: s.price(), Currency: "EUR", Inventory: s.IntN(500), Tags: []string{},
		Image: s.image(), UpdatedAt: s.moment().Format(time.RFC3339),
	}
	if s.IntN(4) == 0 {
		p.CompareAt = new(s.price())
	}
	for range s.IntN(4) {
		p.Tags = append(p.Tags, s.word())
	}
	return p
}

// Document is the answer of an API, a page of a list of orders or of products: JSON of at least size bytes, and
// longer by one of them at most.
func Document(i, size int) []byte {
	s := newSource(2, uint64(i))
	page := struct {
		Object string `json:"object"`
		Page   int    `json:"page"`
		Total  int    `json:"total_count"`
		Next   string `json:"next_cursor"`
		Data   []any  `json:"data"`
	}{Object: "list", Page: 1 + s.IntN(40), Total: s.IntN(5000), Next: s.token(24)}
	orders := s.IntN(2) == 0
	for {
		if orders {
			page.Data = append(page.Data, s.order())
		} else {
			page.Data = append(page.Data, s.product())
		}
		if b := encode(page); len(b) >= size {
			return b
		}
	}
}
