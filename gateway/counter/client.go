package counter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Client is a connection to Redis that all stores of a process share. Whoever
// dialled closes it, after the stores.
type Client = redis.UniversalClient

// Address says where Redis is and how to get in.
type Address struct {
	// Hosts are HOST:PORT: the server; the Sentinels when Master is set; or some
	// nodes of a Cluster.
	Hosts []string
	// Master is the name that the Sentinels know the servers by.
	Master  string
	Cluster bool
	TLS     bool
	// User and Password may be empty. With Sentinel they are those of the servers.
	User, Password string
	// DB is the number of the database; a Cluster has 0 only.
	DB int
}

// The bounds of a client. Callers bring shorter deadlines of their own; these
// hold where there is none.
const (
	dialTimeout = 2 * time.Second
	callTimeout = time.Second
	poolSize    = 64
)

// Dial makes a client. It does not wait for Redis: what is out of reach shows
// when it is called, and connections come back by themselves. No command is
// ever sent twice: whoever sent it cannot know whether it had an effect.
func Dial(a Address) (Client, error) {
	if len(a.Hosts) == 0 {
		return nil, errors.New("no address of Redis is given")
	}
	logging.Disable() // it writes to standard error what its errors say as well
	o := &redis.UniversalOptions{
		Addrs: a.Hosts, MasterName: a.Master, IsClusterMode: a.Cluster, DB: a.DB,
		Username: a.User, Password: a.Password, ClientName: "headrace",
		MaxRetries: -1, DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: callTimeout, WriteTimeout: callTimeout, ContextTimeoutEnabled: true,
		PoolSize: poolSize, PoolTimeout: callTimeout, MinIdleConns: 2,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if a.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.NewUniversalClient(o), nil
}

// script is a Lua script, sent by its hash. It must be given all its keys, and
// they must be in one slot.
type script struct{ source, hash string }

func newScript(source string) script {
	return script{source, redis.NewScript(source).Hash()}
}

// run runs the script and gives the integers that it answers. A server that
// does not know it has done nothing, and is sent the whole.
func (s script) run(ctx context.Context, c Client, key string, args ...any) ([]int64, error) {
	reply, err := once(ctx, c, append([]any{"evalsha", s.hash, 1, key}, args...))
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = once(ctx, c, append([]any{"eval", s.source, 1, key}, args...))
	}
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return reply, nil
}

func once(ctx context.Context, c Client, args []any) ([]int64, error) {
	cmd := redis.NewCmd(ctx, args...)
	cmd.SetFirstKeyPos(3)
	if err := c.Process(ctx, final{cmd}); err != nil {
		return nil, err
	}
	return cmd.Int64Slice()
}

// final is a command that is not repeated, by the client of a Cluster neither,
// which knows no such setting.
type final struct{ *redis.Cmd }

// NoRetry is asked by the client.
func (final) NoRetry() bool { return true }
