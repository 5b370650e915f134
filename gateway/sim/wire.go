package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

func read(r *http.Request) (map[string]any, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBody {
		return nil, fmt.Errorf("the body is larger than %d bytes", maxBody)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}, nil
	}
	if isXML(data) {
		return map[string]any{"xml": string(data)}, nil
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return readForm(string(data))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if body == nil { // null
		body = map[string]any{}
	}
	return body, nil
}

func readForm(text string) (map[string]any, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fmt.Errorf("the body is not a form: %w", err)
	}
	body := map[string]any{}
	for name := range values {
		body[name] = values.Get(name)
	}
	return body, nil
}

// isXML tells a SOAP call, which is kept as a text.
func isXML(data []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) }

func write(w http.ResponseWriter, a answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	if text, ok := a.body.(string); ok {
		w.WriteHeader(a.status)
		io.WriteString(w, text)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(a.status)
	w.Write(body)
}

// rendered turns the body into bytes while the lock protects the records in it.
func (a answer) rendered() answer {
	if _, text := a.body.(string); !text && a.body != nil {
		body, err := json.Marshal(a.body)
		if err != nil {
			return answer{status: http.StatusInternalServerError, body: err.Error()}
		}
		a.body = json.RawMessage(body)
	}
	return a
}

// cut ends the connection without an answer.
func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }
