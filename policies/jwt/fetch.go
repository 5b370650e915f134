package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

const (
	// maxAnswer bounds a key set and a discovery document.
	maxAnswer     = 1 << 20
	maxRedirects  = 3
	discoveryPath = "/.well-known/openid-configuration"
)

// newClient makes the client that key sets are fetched with. Connections are
// not kept: minutes pass between two requests.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		if !sameServer(r.URL, via[0].URL) {
			return errors.New("a redirect to another server is not followed")
		}
		return nil
	}}
}

// fetch gets the keys from where they come from.
func (s *keySet) fetch(ctx context.Context) ([]*key, error) {
	var data []byte
	var err error
	switch {
	case s.file != "":
		data, err = readFile(s.file)
	case s.issuer != "":
		var url string
		if url, err = s.discover(ctx); err == nil {
			data, err = s.get(ctx, url)
		}
	default:
		data, err = s.get(ctx, s.url)
	}
	if err != nil {
		return nil, err
	}
	return parseKeys(data)
}

// discover reads the address of the key set (OpenID Connect Discovery 1.0, section 4).
func (s *keySet) discover(ctx context.Context) (string, error) {
	data, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+discoveryPath)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("the discovery document is not valid JSON: %w", err)
	}
	if document.Issuer != s.issuer {
		return "", fmt.Errorf("the discovery document is of another issuer, %q", document.Issuer)
	}
	if err := checkURL(document.JWKSURI); err != nil {
		return "", fmt.Errorf("jwks_uri of the discovery document: %w", err)
	}
	if strings.HasPrefix(s.issuer, "https:") && !strings.HasPrefix(document.JWKSURI, "https:") {
		return "", errors.New("jwks_uri of the discovery document: keys must come over https")
	}
	return document.JWKSURI, nil
}

func (s *keySet) get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", r.URL.Redacted(), resp.StatusCode)
	}
	return readAll(resp.Body)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return data, err
}
