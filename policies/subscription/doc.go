// Package subscription lets apps through that hold an approved subscription.
//
//	x-headrace:
//	  policies:
//	    subscription: {}
//
// An app subscribes, in consumers.yaml, to a product on a plan; the product
// lists the major versions of APIs that it contains, as NAME/vMAJOR. The policy
// finds the app's subscription to the API at hand. An approved one makes the
// plan's policies (throttle, quota, concurrency) and its class hold for the
// call. Everything else is 403 not-subscribed, which says what there is: no
// subscription and the products to ask for, or one that is requested, rejected,
// suspended or ended.
//
// Where the document lets everybody call (security: [], or an alternative {}),
// nobody is refused; a caller that is known and subscribed still gets the
// plan. Elsewhere a policy that identifies callers (apikey, jwt, mtls) must be
// configured, too; a caller that none of them has identified gets 401.
package subscription
