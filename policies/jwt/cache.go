package jwt

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	shardCount    = 16
	shardCapacity = 625 // 10 000 tokens in all
	// sampled is how many tokens are looked at to find one that makes room.
	sampled = 8
)

// tokenID names a token by its hash and by the rules that it was verified by.
type tokenID struct {
	digest   [sha256.Size]byte
	verifier uint64
}

// cache remembers what verified tokens say. Its size is bounded; among a few
// at random, one that has ended or else the least recently used makes room.
type cache struct {
	shards [shardCount]shard
}

type shard struct {
	mu     sync.Mutex
	tokens map[tokenID]*remembered
}

type remembered struct {
	claims *claims
	used   int64 // Unix nanoseconds
}

func newCache() *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i].tokens = map[tokenID]*remembered{}
	}
	return c
}

func (r *remembered) over(now time.Time) bool {
	return !now.Before(r.claims.expires) || r.claims.key.dropped.Load()
}

func (c *cache) shard(id *tokenID) *shard { return &c.shards[id.digest[0]%shardCount] }

// get is what a token says; nil when it is not remembered, has ended, or was
// signed by a key that is gone.
func (c *cache) get(id *tokenID, now time.Time) *claims {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.tokens[*id]
	if r == nil {
		return nil
	}
	if r.over(now) {
		delete(s.tokens, *id)
		return nil
	}
	r.used = now.UnixNano()
	return r.claims
}

// put remembers a verified token.
func (c *cache) put(id *tokenID, verified *claims, now time.Time) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= shardCapacity {
		s.makeRoom(now)
	}
	s.tokens[*id] = &remembered{claims: verified, used: now.UnixNano()}
}

func (s *shard) makeRoom(now time.Time) {
	var oldest tokenID
	var used int64
	n := 0
	for id, r := range s.tokens { // begins at a random place
		if r.over(now) {
			delete(s.tokens, id)
			return
		}
		if n == 0 || r.used < used {
			oldest, used = id, r.used
		}
		if n++; n == sampled {
			break
		}
	}
	delete(s.tokens, oldest)
}

// purge forgets the tokens that have ended or whose key is gone.
func (c *cache) purge() {
	now := time.Now()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for id, r := range s.tokens {
			if r.over(now) {
				delete(s.tokens, id)
			}
		}
		s.mu.Unlock()
	}
}

func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.Lock()
		n += len(c.shards[i].tokens)
		c.shards[i].mu.Unlock()
	}
	return n
}
