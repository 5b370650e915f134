package event

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// secretPrefix marks a secret of Standard Webhooks, which is what follows it in base64.
const secretPrefix = "whsec_"

// secretBytes is how long secrets are: Standard Webhooks asks for 24 to 64 bytes.
const secretBytes = 32

// newSecret makes what signs.
func newSecret() []byte {
	s := make([]byte, secretBytes)
	rand.Read(s)
	return s
}

// secretText is how people see a secret.
func secretText(secret []byte) string {
	return secretPrefix + base64.StdEncoding.EncodeToString(secret)
}

// signature is the value of the header webhook-signature: one for each secret,
// HMAC-SHA256 over ID.TIMESTAMP.BODY (Standard Webhooks 1.0.0, "signature scheme").
func signature(id string, at time.Time, body []byte, secrets ...[]byte) string {
	var list []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(list, " ")
}

// SecretLength is the length of Options.Secret in bytes.
const SecretLength = 32

// seal encrypts what signs, so that a copy of the ledger gives nobody away. The
// app is bound to it: a secret cannot be put into another app's webhook.
type seal struct{ cipher.AEAD }

func newSeal(secret []byte) (seal, error) {
	if len(secret) != SecretLength {
		return seal{}, fmt.Errorf("the secret for webhooks has %d bytes, not %d", len(secret), SecretLength)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	return seal{aead}, err
}

func (s seal) close(app string, secret []byte) []byte {
	nonce := make([]byte, s.NonceSize())
	rand.Read(nonce)
	return s.Seal(nonce, nonce, secret, []byte("webhook "+app))
}

func (s seal) open(app string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.NonceSize() {
		return nil, errors.New("the secret of the webhook is damaged")
	}
	secret, err := s.Open(nil, sealed[:s.NonceSize()], sealed[s.NonceSize():], []byte("webhook "+app))
	if err != nil {
		return nil, errors.New("the secret of the webhook was encrypted with another secret; set event.secret to that one, or give the webhook a new one")
	}
	return secret, nil
}
