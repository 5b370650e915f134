package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/headrace/headrace/gateway"
)

// secretLength gives the secret 238 bits.
const secretLength = 40

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Key is a new API key, and what is kept of it.
type Key struct {
	// Text is the whole key. It is shown once and must not be kept.
	Text string
	// Prefix and Hash are the values of keys in consumers.yaml.
	Prefix, Hash string
}

// New makes a key from the system's source of randomness.
func New() Key {
	prefix := random(gateway.KeyPrefixLength)
	text := "hr_" + prefix + "_" + random(secretLength)
	digest := sha256.Sum256([]byte(text))
	return Key{Text: text, Prefix: prefix, Hash: "sha256:" + hex.EncodeToString(digest[:])}
}

// random gives n characters, each of the 62 with the same probability: bytes
// beyond the largest multiple of 62 are dropped.
func random(n int) string {
	text := make([]byte, 0, n)
	var buffer [64]byte
	for {
		rand.Read(buffer[:])
		for _, b := range buffer {
			if b >= 248 {
				continue
			}
			if text = append(text, base62[b%62]); len(text) == n {
				return string(text)
			}
		}
	}
}
