package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
)

// ids makes the names of writes. A name is the write's number and a random
// token under a secret of the ledger: it is found without an index of its own,
// tells nobody how many writes there are, cannot be guessed, and does not come
// again when an older copy of the ledger is restored and gives the number anew.
type ids struct{ block cipher.Block }

// lettering is RFC 4648 base32hex in lower case, which sorts nothing here but
// has no letters that look alike in URLs.
func lettering() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
}

// secret reads the ledger's secret, and makes it the first time.
func secret(t tx) (ids, error) {
	fresh := make([]byte, 16)
	rand.Read(fresh) //nolint:errcheck // crypto/rand does not fail
	if err := t.do("INSERT INTO meta (name, value) VALUES ('secret', ?1) ON CONFLICT DO NOTHING", fresh); err != nil {
		return ids{}, err
	}
	var kept []byte
	found, err := one(t, []any{&kept}, "SELECT value FROM meta WHERE name = 'secret'")
	if err == nil && !found {
		err = errors.New("ledger: meta has no secret")
	}
	if err != nil {
		return ids{}, err
	}
	block, err := aes.NewCipher(kept)
	return ids{block}, err
}

// token is the random half of a name.
func token() int64 {
	var b [8]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand does not fail
	return int64(binary.BigEndian.Uint64(b[:]))
}

func (i ids) name(seq, token int64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(seq))
	binary.BigEndian.PutUint64(b[8:], uint64(token))
	i.block.Encrypt(b[:], b[:])
	return lettering().EncodeToString(b[:])
}

// parse gives number and token of a name; ok is false for what is none.
func (i ids) parse(name string) (seq, token int64, ok bool) {
	b, err := lettering().DecodeString(name)
	if err != nil || len(b) != 16 || lettering().EncodeToString(b) != name {
		return 0, 0, false
	}
	i.block.Decrypt(b, b)
	return int64(binary.BigEndian.Uint64(b[:8])), int64(binary.BigEndian.Uint64(b[8:])), true
}
