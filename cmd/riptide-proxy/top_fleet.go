package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"riptide-proxy/admin"
)

// topFleet are the proxies that are asked.
type topFleet struct {
	addresses []string // as they were given
	urls      []string
	token     string
	client    *http.Client
}

// topAnswer is one proxy's report, or why there is none.
type topAnswer struct {
	address string
	report  *admin.TenantsReport
	err     error
}

// topPatience is how long a proxy may take to answer.
const topPatience = 5 * time.Second

// topLargest bounds what is read of an answer; a tenant takes less than a KiB of it.
const topLargest = 256 << 20

func newTopFleet(addresses []string, token string) (*topFleet, error) {
	f := &topFleet{addresses: addresses, token: token, client: &http.Client{Timeout: topPatience}}
	for _, a := range addresses {
		base, err := adminURL(a)
		if err != nil {
			return nil, err
		}
		f.urls = append(f.urls, base+admin.TenantsPath)
	}
	return f, nil
}

// ask asks all proxies at once. The answers are in the order of the addresses.
func (f *topFleet) ask(ctx context.Context) []topAnswer {
	answers := make([]topAnswer, len(f.urls))
	var wait sync.WaitGroup
	for i := range f.urls {
		wait.Go(func() {
			report, err := f.get(ctx, f.urls[i])
			answers[i] = topAnswer{f.addresses[i], report, err}
		})
	}
	wait.Wait()
	return answers
}

func (f *topFleet) get(ctx context.Context, at string) (*admin.TenantsReport, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which the reader has given
		}
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%s: it wants a token that may see tenants (%s or --token)", resp.Status, topTokenEnv)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: it is no admin listener, or of a version without %s", resp.Status, admin.TenantsPath)
	default:
		return nil, errors.New(resp.Status)
	}
	report := new(admin.TenantsReport)
	if err := json.NewDecoder(io.LimitReader(resp.Body, topLargest)).Decode(report); err != nil {
		return nil, fmt.Errorf("its answer can not be read: %w", err)
	}
	if report.Version != admin.TenantsVersion {
		return nil, fmt.Errorf("its reports are of version %d, this program knows %d", report.Version, admin.TenantsVersion)
	}
	return report, nil
}
