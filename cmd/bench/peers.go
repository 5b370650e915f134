package main

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
)

// upstream answers every GET with 1 KB of JSON and every POST, once read, with 201.
func upstream(address string) error {
	body := payload(1024)
	length := []string{strconv.Itoa(len(body))}
	contentType := []string{"application/json"}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		if r.Method == http.MethodPost {
			io.Copy(io.Discard, r.Body)
			status = http.StatusCreated
		}
		h := w.Header()
		h["Content-Length"], h["Content-Type"] = length, contentType
		w.WriteHeader(status)
		w.Write(body)
	}))
}

// proxy is what Headrace is compared with: the standard library's reverse
// proxy with nothing around it.
func proxy(address, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return http.ListenAndServe(address, &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport: transport,
	})
}

// payload is a JSON object of about n bytes.
func payload(n int) []byte {
	b := []byte(`{"status":"ok","note":"`)
	for len(b) < n-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}
