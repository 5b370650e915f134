package portal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/headrace/headrace/gateway/ledger"
)

// One-time codes (RFC 6238): six digits of 30 s, of which the one before and the one
// after are taken as well, because clocks differ.
const (
	codePeriod = 30
	codeSkew   = 1
	secretSize = 20 // bytes, as RFC 4226 recommends
	// recoveryCodes are for when the device is lost.
	recoveryCodes = 8
)

func codeOptions() totp.ValidateOpts {
	return totp.ValidateOpts{Period: codePeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
}

// codeStep finds the period whose code it is, after the one that was taken last; 0
// when there is none.
func codeStep(secret []byte, code string, last int64, now time.Time) (int64, error) {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	step, found := now.Unix()/codePeriod, int64(0)
	for s := step - codeSkew; s <= step+codeSkew; s++ {
		want, err := totp.GenerateCodeCustom(text, time.Unix(s*codePeriod, 0), codeOptions())
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && s > last {
			found = s
		}
	}
	return found, nil
}

// newTOTP makes a secret, and the address by which devices take it.
func (p *Portal) newTOTP(email string) (*otp.Key, error) {
	return totp.Generate(totp.GenerateOpts{Issuer: p.options.Title, AccountName: email, Period: codePeriod, SecretSize: secretSize, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
}

func decodeSecret(text string) ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
}

// newRecovery makes codes that stand in for the device once each, and their hashes.
func newRecovery() (codes []string, hashes []byte, err error) {
	var list []string
	for range recoveryCodes {
		code := strings.ToLower(rand.Text()[:12]) // 60 bits
		codes = append(codes, code[:4]+"-"+code[4:8]+"-"+code[8:])
		list = append(list, hashCode(code))
	}
	hashes, err = json.Marshal(list)
	return codes, hashes, err
}

func hashCode(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

var errWrongCode = errors.New("the code is not right")

// takeCode takes a code of an account's device, or one for when it is lost: none of
// them a second time.
func (p *Portal) takeCode(ctx context.Context, account, text string) (bool, error) {
	code := strings.ToLower(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, text))
	_, err := p.options.Store.ChangeAccount(ctx, account, func(a *ledger.Account) error {
		if a.TOTP == nil {
			return errWrongCode
		}
		step, err := codeStep(a.TOTP, code, a.Step, time.Now())
		if err != nil {
			return err
		}
		if step > 0 {
			a.Step = step
			return nil
		}
		var left []string
		if err := json.Unmarshal(a.Recovery, &left); err != nil {
			return err
		}
		i := slices.Index(left, hashCode(code)) // of 60 random bits: the time tells nothing
		if i < 0 {
			return errWrongCode
		}
		a.Recovery, err = json.Marshal(slices.Delete(left, i, i+1))
		return err
	})
	if errors.Is(err, errWrongCode) {
		return false, nil
	}
	return err == nil, err
}
