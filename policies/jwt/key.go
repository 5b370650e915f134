package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/MicahParks/jwkset"
)

// Bounds on what an issuer may list.
const (
	maxKeys    = 200
	minRSABits = 2048
	maxRSABits = 8192
)

// key is a public key of an issuer.
type key struct {
	id string // kid; empty when it has none
	// algorithm is the only one that the key may be used with; empty when only
	// its type decides.
	algorithm string
	public    any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	// fingerprint tells the key from every other, its id and algorithm included.
	fingerprint [sha256.Size]byte
	// dropped is set when the issuer no longer lists the key.
	dropped atomic.Bool
}

// fits tells whether the key may verify signatures of an algorithm (RFC 7518, section 3.1).
func (k *key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "RS" || algorithm[:2] == "PS"
	case *ecdsa.PublicKey:
		return algorithm == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[public.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// parseKeys reads a key set (RFC 7517, section 5). Keys that cannot verify
// signatures are left out; a set without any other is an error.
func parseKeys(data []byte) (keys []*key, err error) {
	defer func() { // the data come from outside, and this runs beside the requests
		if r := recover(); r != nil {
			keys, err = nil, fmt.Errorf("the key set cannot be read: %v", r)
		}
	}()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the key set is not valid JSON: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var unusable error
	for _, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			unusable = err
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.Join(fmt.Errorf("none of the %d keys of the set can be used", len(set.Keys)), unusable)
	}
	return keys, nil
}

func parseKey(raw json.RawMessage) (*key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("a key is not valid: %w", err)
	}
	if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return nil, errors.New("a key is not meant for signatures")
	}
	k := &key{id: m.KID, algorithm: string(m.ALG)}
	if k.algorithm == "Ed25519" { // RFC 9864's name for the same
		k.algorithm = "EdDSA"
	}
	if k.algorithm != "" && !slices.Contains(algorithms, k.algorithm) {
		return nil, errors.New("a key is for an algorithm that is not accepted")
	}
	// Only the numbers count: no certificates, no private parts, nothing to fetch.
	jwk, err := jwkset.NewJWKFromMarshal(jwkset.JWKMarshal{KTY: m.KTY, CRV: m.CRV, X: m.X, Y: m.Y, N: m.N, E: m.E},
		jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipMetadata: true})
	if err != nil {
		return nil, err
	}
	k.public = jwk.Key()
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits || public.E < 3 || public.E&1 == 0 {
			return nil, fmt.Errorf("an RSA key has %d bits and the exponent %d", bits, public.E)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("a key is of a type that does not sign: %T", public)
	}
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, err
	}
	k.fingerprint = sha256.Sum256(fmt.Appendf(nil, "%q %q %s", k.id, k.algorithm, der))
	return k, nil
}
