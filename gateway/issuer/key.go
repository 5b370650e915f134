package issuer

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// signer is a key that is ready for use.
type signer struct {
	Key
	private crypto.Signer
}

// ring are the keys of one moment, the one that signs last at the end.
type ring []*signer

// newRing opens the keys. Those that were open before are taken over.
func newRing(kept []Key, s seal, before *known) (ring, error) {
	var r ring
	for _, k := range kept {
		if before != nil {
			if n := slices.IndexFunc(before.ring, func(o *signer) bool { return o.ID == k.ID }); n >= 0 {
				r = append(r, before.ring[n])
				continue
			}
		}
		private, err := s.open(k)
		if err != nil {
			return nil, err
		}
		r = append(r, &signer{Key: k, private: private})
	}
	slices.SortFunc(r, func(a, b *signer) int { return a.From.Compare(b.From) })
	return r, nil
}

// signing is the newest key that has begun; nil when there is none.
func (r ring) signing(now time.Time) *signer {
	for _, k := range slices.Backward(r) {
		if !k.From.After(now) {
			return k
		}
	}
	return nil
}

// spent are the keys whose last token has ended: a successor has signed for
// longer than a token lives.
func (r ring) spent(now time.Time, lifetime time.Duration) []*signer {
	var spent []*signer
	for n := 0; n+1 < len(r); n++ {
		if !now.Before(r[n+1].From.Add(lifetime + leeway)) {
			spent = append(spent, r[n])
		}
	}
	return spent
}

// leeway is by how much clocks of replicas and of those who check may differ.
const leeway = 2 * time.Minute

// newKey makes a key and encrypts it.
func newKey(algorithm string, from time.Time, s seal) (Key, error) {
	var id [9]byte
	rand.Read(id[:])
	k := Key{ID: base64.RawURLEncoding.EncodeToString(id[:]), Algorithm: algorithm, From: from.UTC().Truncate(time.Second)}
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("there is no algorithm %q; ES256 or EdDSA", algorithm)
	}
	if err != nil {
		return Key{}, err
	}
	k.Sealed, err = s.close(k, private)
	return k, err
}

// seal encrypts private keys. The id is bound to what is encrypted, so that
// keys cannot be exchanged for each other.
type seal struct{ cipher.AEAD }

// SecretLength is the length of the secret that encrypts the private keys, in bytes.
const SecretLength = 32

func newSeal(secret []byte) (seal, error) {
	if len(secret) != SecretLength {
		return seal{}, fmt.Errorf("the secret for signing keys has %d bytes, not %d", len(secret), SecretLength)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	return seal{aead}, err
}

func (s seal) close(k Key, private crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, s.NonceSize())
	rand.Read(nonce)
	return s.Seal(nonce, nonce, der, []byte(k.ID+" "+k.Algorithm)), nil
}

func (s seal) open(k Key) (crypto.Signer, error) {
	if len(k.Sealed) < s.NonceSize() {
		return nil, fmt.Errorf("the signing key %s is damaged", k.ID)
	}
	der, err := s.Open(nil, k.Sealed[:s.NonceSize()], k.Sealed[s.NonceSize():], []byte(k.ID+" "+k.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("the signing key %s cannot be decrypted: it was encrypted with another secret; set oauth.secret to that one, or remove the key", k.ID)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key " + k.ID + " cannot sign")
	}
	return private, nil
}
