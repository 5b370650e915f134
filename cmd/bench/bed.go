package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// bed is everything that the measurements run on.
type bed struct {
	dir       string
	processes []*process
	jwks      *http.Server

	bare, headrace *process
	token          string
}

// key is a test key; consumers.yaml gets its hash.
const key = "hr_benchapp_0123456789abcdefghijklmnopqrstuv"

func newBed(headrace string) (*bed, error) {
	b := &bed{}
	var err error
	if b.dir, err = os.MkdirTemp("", "headrace-bench-"); err != nil {
		return nil, err
	}
	if err := b.start(headrace); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bed) close() {
	for _, p := range b.processes {
		p.stop()
	}
	if b.jwks != nil {
		b.jwks.Close()
	}
	os.RemoveAll(b.dir)
}

func (b *bed) start(headrace string) error {
	var addresses [4]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	run := func(address string, env []string, name string, args ...string) (*process, error) {
		p, err := start(address, env, name, args...)
		if err == nil {
			b.processes = append(b.processes, p)
		}
		return p, err
	}
	if _, err := run(addresses[0], nil, self, "upstream", addresses[0]); err != nil {
		return err
	}
	if b.bare, err = run(addresses[1], []string{gogc}, self, "proxy", addresses[1], "http://"+addresses[0]); err != nil {
		return err
	}
	jwks, err := b.issuer()
	if err != nil {
		return err
	}
	if err := b.workspace(addresses[0], addresses[2], addresses[3], jwks); err != nil {
		return err
	}
	b.headrace, err = run(addresses[2], []string{gogc}, headrace, "serve", b.dir)
	return err
}

// issuer makes an ES256 key, serves its public half, and signs a token.
func (b *bed) issuer() (url string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return "", err
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "bench", "alg": "ES256", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	b.jwks = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(set)
	})}
	go b.jwks.Serve(l)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://issuer.example", "aud": "headrace", "client_id": "bench", "sub": "bench",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "bench"
	b.token, err = token.SignedString(private)
	return "http://" + l.Addr().String() + "/jwks.json", err
}

// workspace writes the four configurations as four APIs of one workspace.
func (b *bed) workspace(upstream, listen, admin, jwks string) error {
	hash := sha256.Sum256([]byte(key))
	governed := "apikey: {}\n    subscription: {}\n    validate: {request: \"off\"}\n    throttle: {rate: 1000000/s, burst: 1000000}\n    quota: {limit: 1000000000, per: day}"
	withJWT := governed + fmt.Sprintf("\n    jwt: {issuers: [{issuer: \"https://issuer.example\", jwks_url: %q, audiences: [headrace]}]}", jwks)
	files := map[string]string{
		"headrace.yaml":         fmt.Sprintf("listen: {gateway: %q, admin: %q}\n", listen, admin),
		"systems/upstream.yaml": fmt.Sprintf("dialect: rest\nurl: http://%s\nconnections: {max: 256}\nlimits:\n  - {name: concurrency, capacity: 100000}\n", upstream),
		"consumers.yaml": fmt.Sprintf(`organisations: {bench: {}}
apps:
  bench:
    organisation: bench
    keys: [{prefix: benchapp, hash: "sha256:%x"}]
    clients: [{issuer: "https://issuer.example", id: bench}]
products: {all: {apis: [governed/v1, token/v1, order/v1, order31/v1]}}
plans: {bench: {}}
subscriptions: [{app: bench, product: all, plan: bench}]
`, hash),
		"apis/plain/1.0.0/openapi.yaml":    document("3.0.3", "plain", "validate: \"off\"", ""),
		"apis/governed/1.0.0/openapi.yaml": document("3.0.3", "governed", governed, "apiKey"),
		"apis/token/1.0.0/openapi.yaml":    document("3.0.3", "token", withJWT, "apiKey, token"),
		"apis/order/1.0.0/openapi.yaml":    document("3.0.3", "order", strings.Replace(withJWT, "\"off\"", "enforce", 1), "apiKey, token"),
		"apis/order31/1.0.0/openapi.yaml":  document("3.1.0", "order31", strings.Replace(withJWT, "\"off\"", "enforce", 1), "apiKey, token"),
	}
	for name, content := range files {
		file := filepath.Join(b.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// subjects lists what is measured: each request through the bare proxy first.
func (b *bed) subjects() ([]*subject, error) {
	order := orderBody()
	get := func(path string, headers ...string) []byte { return request("GET", path, nil, headers...) }
	post := func(path string, headers ...string) []byte {
		return request("POST", path, order, append(headers, "Content-Type: application/json")...)
	}
	apiKey, token := "X-Api-Key: "+key, "Authorization: Bearer "+b.token
	bareGet := &subject{name: "bare httputil.ReverseProxy, GET 1 KB", process: b.bare, request: get("/orders/1"), want: 200}
	barePost := &subject{name: "bare httputil.ReverseProxy, POST 2 KB", process: b.bare, request: post("/orders"), want: 201}
	subjects := []*subject{
		bareGet,
		{name: "pass-through", figure: "passthrough-cpu-ratio", process: b.headrace, request: get("/plain/v1/orders/1"), want: 200, base: bareGet},
		{name: "API key + subscription + throttle + quota", figure: "governed-get-cpu-ratio", process: b.headrace, request: get("/governed/v1/orders/1", apiKey), want: 200, base: bareGet},
		{name: "the same + JWT ES256", figure: "governed-jwt-cpu-ratio", process: b.headrace, request: get("/token/v1/orders/1", apiKey, token), want: 200, base: bareGet},
		barePost,
		{name: "the same + validated 2 KB order, OpenAPI 3.0", figure: "validated-post-cpu-ratio", process: b.headrace, request: post("/order/v1/orders", apiKey, token), want: 201, base: barePost},
		{name: "the same + validated 2 KB order, OpenAPI 3.1", figure: "validated-post-31-cpu-ratio", process: b.headrace, request: post("/order31/v1/orders", apiKey, token), want: 201, base: barePost},
	}
	return subjects, nil
}

// request renders an HTTP request with the headers that ordinary clients send.
func request(method, path string, body []byte, headers ...string) []byte {
	var r strings.Builder
	fmt.Fprintf(&r, "%s %s HTTP/1.1\r\nHost: api.example\r\nUser-Agent: erp-client/1.0\r\nAccept: application/json\r\n", method, path)
	for _, h := range headers {
		r.WriteString(h + "\r\n")
	}
	if body != nil {
		fmt.Fprintf(&r, "Content-Length: %d\r\n", len(body))
	}
	r.WriteString("\r\n")
	return append([]byte(r.String()), body...)
}

// maxResident is the peak memory of an ended process in megabytes.
func maxResident(state *os.ProcessState) float64 {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		return float64(usage.Maxrss) / 1024
	}
	return 0
}
