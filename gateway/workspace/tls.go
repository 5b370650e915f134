package workspace

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// load reads the files of the listener's certificates.
func (t *TLS) load(dir string) (*tls.Config, error) {
	within := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	certificate, err := tls.LoadX509KeyPair(within(t.Certificate), within(t.Key))
	if err != nil {
		return nil, fmt.Errorf("the certificate of the gateway's listener: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.ClientCA == "" {
		// Pinned certificates need no authority; whether one is demanded is up to the mtls policy.
		c.ClientAuth = tls.RequestClientCert
		return c, nil
	}
	pem, err := os.ReadFile(within(t.ClientCA))
	if err != nil {
		return nil, fmt.Errorf("the authorities of client certificates: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", t.ClientCA)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}
