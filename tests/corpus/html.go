package corpus

import (
	"fmt"
	"strings"
)

// HTML is a page of a shop with a magazine, as a cache in front of it would keep it: about 20 KiB.
func HTML(i int) []byte {
	s := newSource(3, uint64(i))
	var b strings.Builder
	s.writeHead(&b)
	for b.Len() < 15<<10 {
		switch s.IntN(4) {
		case 0:
			s.writeArticle(&b)
		case 1:
			s.writeTable(&b)
		case 2:
			s.writeComments(&b)
		default:
			s.writeProducts(&b)
		}
	}
	s.writeFoot(&b)
	return []byte(b.String())
}

func (s *source) slug(words int) string { return strings.ReplaceAll(s.words(words), " ", "-") }

func (s *source) image() string {
	return fmt.Sprintf("https://cdn.shop.example/media/%s/%s.%s", s.hex(2), s.hex(16), s.pick("jpg", "jpg", "webp", "png"))
}

func (s *source) writeHead(b *strings.Builder) {
	title := capital(s.words(4))
	fmt.Fprintf(b, `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>%s | Shop</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="description" content="%s">
  <meta name="csrf-token" content="%s">
  <meta property="og:title" content="%s">
  <meta property="og:image" content="%s">
  <link rel="canonical" href="https://www.shop.example/%s">
  <link rel="stylesheet" href="/assets/app-%s.css">
  <link rel="stylesheet" href="/assets/theme-%s.css">
  <script defer src="/assets/vendor-%s.js"></script>
  <script defer src="/assets/app-%s.js"></script>
</head>
<body class="page page-%s" data-request="%s">
<header class="site-header">
  <a class="logo" href="/"><img src="/assets/logo-%s.svg" alt="Shop" width="120" height="32"></a>
  <nav class="site-nav" aria-label="Main">
    <ul>
`, title, s.sentence(), s.token(43), title, s.image(), s.slug(4), s.hex(8), s.hex(8), s.hex(8), s.hex(8), s.word(), s.uuid(), s.hex(8))
	for range 6 + s.IntN(6) {
		word := s.word()
		fmt.Fprintf(b, "      <li class=\"nav-item\"><a class=\"nav-link\" href=\"/c/%s-%d\">%s</a></li>\n", word, s.IntN(1000), capital(word))
	}
	b.WriteString("    </ul>\n  </nav>\n</header>\n<main id=\"content\">\n")
}

func (s *source) writeArticle(b *strings.Builder) {
	p := s.person()
	at := s.moment()
	fmt.Fprintf(b, `  <article class="post" id="post-%d">
    <h2 class="post-title"><a href="/magazine/%s">%s</a></h2>
    <p class="post-meta">By <a rel="author" href="/authors/%d">%s %s</a> on <time datetime="%s">%s</time></p>
`, s.IntN(1e6), s.slug(5), capital(s.words(5)), s.IntN(5000), p.first, p.last, at.Format("2006-01-02T15:04:05Z"), at.Format("2 January 2006"))
	for range 1 + s.IntN(3) {
		fmt.Fprintf(b, "    <p>%s</p>\n", s.paragraph(2+s.IntN(3)))
	}
	b.WriteString("  </article>\n")
}

func (s *source) writeTable(b *strings.Builder) {
	fmt.Fprintf(b, "  <section class=\"orders\">\n    <h3>%s</h3>\n    <table class=\"table table-striped\">\n", capital(s.words(3)))
	b.WriteString("      <thead><tr><th>Order</th><th>Customer</th><th>Date</th><th>Total</th><th>Status</th></tr></thead>\n      <tbody>\n")
	for range 6 + s.IntN(8) {
		p := s.person()
		n := 100_000 + s.IntN(900_000)
		fmt.Fprintf(b, "        <tr data-id=\"%d\"><td><a href=\"/orders/%d\">#%d</a></td><td>%s %s</td><td>%s</td><td class=\"num\">%s</td><td><span class=\"badge badge-%s\"></span></td></tr>\n",
			n, n, n, p.first, p.last, s.moment().Format("2006-01-02 15:04"), s.price(), s.pick("paid", "shipped", "pending", "cancelled"))
	}
	b.WriteString("      </tbody>\n    </table>\n  </section>\n")
}

func (s *source) writeComments(b *strings.Builder) {
	b.WriteString("  <section class=\"comments\">\n")
	for range 3 + s.IntN(4) {
		p := s.person()
		fmt.Fprintf(b, `    <div class="comment" id="comment-%s">
      <img class="avatar" src="https://www.gravatar.com/avatar/%s?s=48" alt="" width="48" height="48" loading="lazy">
      <div class="comment-body">
        <p class="comment-meta"><strong>%s %s</strong> <time datetime="%s">%d days ago</time></p>
        <p>%s</p>
        <button type="button" class="btn btn-link" data-action="reply" data-parent="%d">Reply</button>
      </div>
    </div>
`, s.hex(8), s.hex(32), p.first, p.last, s.timestamp(), 1+s.IntN(300), s.paragraph(1+s.IntN(3)), s.IntN(1e6))
	}
	b.WriteString("  </section>\n")
}

func (s *source) writeProducts(b *strings.Builder) {
	b.WriteString("  <section class=\"products grid grid-4\">\n")
	for range 4 + s.IntN(5) {
		title := capital(s.words(2 + s.IntN(3)))
		id := s.IntN(100_000)
		fmt.Fprintf(b, `    <div class="product-card" data-product-id="%d" data-sku="%s">
      <a class="product-link" href="/p/%s-%d">
        <img class="product-image" src="%s" alt="%s" width="320" height="320" loading="lazy">
        <h3 class="product-title">%s</h3>
      </a>
      <p class="product-text">%s</p>
      <div class="product-price"><span class="currency">EUR</span> <span class="amount">%s</span></div>
      <div class="product-rating" aria-label="%d.%d of 5 stars">%d reviews</div>
      <form method="post" action="/cart/%d"><button class="btn btn-primary" type="submit">Add to cart</button></form>
    </div>
`, id, strings.ToUpper(s.token(8)), s.slug(3), id, s.image(), title, title, s.sentence(), s.price(), 1+s.IntN(4), s.IntN(10), s.IntN(900), id)
	}
	b.WriteString("  </section>\n")
}

func (s *source) writeFoot(b *strings.Builder) {
	b.WriteString("</main>\n<footer class=\"site-footer\">\n  <ul class=\"footer-links\">\n")
	for range 8 + s.IntN(8) {
		word := s.word()
		fmt.Fprintf(b, "    <li><a href=\"/pages/%s\">%s</a></li>\n", word, capital(s.words(2)))
	}
	b.WriteString("  </ul>\n</footer>\n<script id=\"state\" type=\"application/json\">")
	b.Write(Document(s.IntN(1<<30), 1<<10))
	fmt.Fprintf(b, "</script>\n<script>window.dataLayer=window.dataLayer||[];dataLayer.push({page:'%s',visit:'%s',build:'%s'});</script>\n</body>\n</html>\n",
		s.word(), s.uuid(), s.hex(40))
}
