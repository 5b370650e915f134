// Package mtls identifies apps by their client certificate.
//
//	x-headrace:
//	  policies:
//	    mtls: {}
//
// The certificate is that of the TLS connection that the caller has with the
// gateway; headers in which a proxy may have put one are not looked at. The
// gateway must end TLS itself (tls in headrace.yaml).
//
// An app is recognised, in consumers.yaml, by one of two:
//
//   - thumbprint: the SHA-256 of the certificate. It names exactly one
//     certificate, so that self-signed ones work, too, where tls.client_ca is
//     not set. With it, TLS itself breaks connections off whose certificate
//     none of its authorities has issued.
//   - subject, as in RFC 2253: any certificate with this subject that an
//     authority of tls.client_ca has issued. Without a verified chain the
//     subject counts for nothing.
//
// The certificate must be within its dates at the time of each request, not
// only when the connection was made. A connection without a certificate goes on
// unidentified; what that means is decided by the policy scope. A certificate
// that no app has, or that is out of date, is refused with 401, whatever other
// credentials the request carries; so are credentials that belong to different
// apps. A disabled app is refused with 403.
package mtls
