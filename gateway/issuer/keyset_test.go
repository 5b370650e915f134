package issuer

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// keyIn looks keys up in a set, as others read it.
func keyIn(t *testing.T, text []byte) jwt.Keyfunc {
	t.Helper()
	var set struct{ Keys []jwkset.JWKMarshal }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return func(token *jwt.Token) (any, error) {
		for _, m := range set.Keys {
			if m.KID == token.Header["kid"] {
				k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
				return k.Key(), err
			}
		}
		return nil, errors.New("no such key")
	}
}
