// Package sim simulates ERP systems with the limits, error bodies and headers
// of their vendors, over one seeded world of a distributor: 50 products
// (SKU-0001 …), 12 suppliers, 20 customers (C0001 …), 30 orders (SO1000 …) with
// their invoices and shipments. All simulators show the same world, so that an
// order of the ERP is the one that the TMS ships. Calls are counted when they
// arrive. Everything is in memory, and bounded. Each simulator serves at the
// root of its listener; bodies are JSON objects of at most 1 MiB.
//
// # netsuite
//
// An ERP in the shape of NetSuite's REST record API. Limit: calls at once over
// the account, REST and RESTlets together (15; Options.Concurrency).
//
//	GET   /services/rest/record/v1/{type}?limit=&offset=&q=     {links, items, count, hasMore, offset, totalResults}
//	GET   /services/rest/record/v1/{type}/{id or eid:EXTERNAL}  the record
//	POST  /services/rest/record/v1/salesOrder                   {externalId?, entity:{id}, memo?, item:{items:[{item:{id or refName}, quantity, rate?}]}}: 204 and Location
//	PUT   /services/rest/record/v1/salesOrder/eid:EXTERNAL      the same, made once however often it is sent: 204 and Location
//	PATCH /services/rest/record/v1/salesOrder/{id}              {memo?, status?}: 204
//	GET   /services/rest/system/v1/governanceLimits             {accountConcurrencyLimit, accountUnallocatedConcurrencyLimit, integrationLimitType}
//	POST  /app/site/hosting/restlet.nl                          {success, echo}
//
// The types are salesOrder, invoice, inventoryItem, vendor and customer; q is
// FIELD IS "value", joined by AND, and FIELD may lead into a record by dots.
// Beyond the limit, records answer 429 and RESTlets 400, without a hint when to
// come back. The code of the 429 is not documented by the vendor:
//
//	429 {type, title, status, o:errorDetails:[{detail, o:errorCode: CONCURRENCY_LIMIT_EXCEEDED}]}
//	400 {error:{code: SSS_REQUEST_LIMIT_EXCEEDED, message}}
//
// Other refusals have the first shape: 400 USER_ERROR, INVALID_KEY_OR_REF,
// INACTIVE_ITEM, DUP_RCRD or INVALID_PARAMETER, 404 NONEXISTENT_ID.
//
// # dataverse
//
// A CRM in the shape of Dataverse's Web API. Limits for each user (Authorization
// header): 6000 calls and 1200 s of execution time in 300 s, 52 at once.
//
//	GET   /api/data/v9.2/accounts?$filter=FIELD eq 'value'&$top=      {@odata.context, value:[…]}
//	GET   /api/data/v9.2/accounts(GUID or accountnumber='C0001')      the account
//	PATCH /api/data/v9.2/accounts(…)                                  {name?, telephone1?, address1_city?}: 204
//	GET   /api/data/v9.2/salesorders?$filter=&$top=                   {@odata.context, value:[…]}
//	GET   /api/data/v9.2/salesorders(GUID or ordernumber='SO1000')    the order
//	POST  /api/data/v9.2/salesorders                                  {ordernumber, name, totalamount?, description?}: 204 and OData-EntityId, 412 when it exists
//	PATCH /api/data/v9.2/salesorders(…)                               {name?, totalamount?, description?}: 204; by ordernumber it is made when there is none
//
// Every answer to an admitted call carries x-ms-ratelimit-burst-remaining-xrm-requests
// and x-ms-ratelimit-time-remaining-xrm-requests. Beyond a limit the answer is
// 429 {error:{code, message}} with the code 0x80072322 (number), 0x80072321
// (time) or 0x80072326 (at once), and a Retry-After in seconds that grows while
// the user keeps sending.
//
// # wms
//
// A warehouse management system. Limit: 20 at once.
//
//	GET   /stock?sku=&warehouse=&limit=&offset=   {items:[{sku, warehouse, onHand, allocated, available, updatedAt}], total}
//	POST  /stock/{sku}/adjustments                {warehouse, quantity}: 201 and the new level, 409 below what is allocated
//
// # tms
//
// A transport management system. Limit: 10 at once.
//
//	GET   /shipments?orderRef=&status=&limit=&offset=   {items:[…], total}
//	GET   /shipments/{id}                               {id, orderRef, carrier, status, from, to:{name, city}, plannedOn, trackingNumber, milestones:[{code, at}]}
//	POST  /shipments                                    {orderRef, carrier?, from?, to?}: 201
//	POST  /shipments/{id}/milestones                    {code, at}: 201
//
// # crm
//
// Customer relations over plain REST. Limit: 10 at once.
//
//	GET   /accounts?number=&name=&city=&status=&limit=&offset=   {items:[{number, name, city, phone, status}], total}
//	GET   /accounts/{number}                                     the account
//	POST  /accounts                                              {name, number?, city?, phone?}: 201 and Location, 409 when it exists
//	PATCH /accounts/{number}                                     {name?, city?, phone?, status?}: 200 and the account
//	GET   /activities?account=&type=&limit=&offset=              {items:[{id, account, type, subject, at}], total}
//	POST  /accounts/{number}/activities                          {type, subject}: 201
//
// The plain systems answer 429 with Retry-After: 1 beyond their limit, and
// {error} with 400, 404, 409 and 507.
//
// # Control
//
// Every simulator is steered at /_sim, which counts as no call of the system:
//
//	POST   /_sim/faults   a Fault: 201; 400 {error} when it cannot be
//	DELETE /_sim/faults   ends all faults: 204
//	GET    /_sim/report   a Report
//	POST   /_sim/reset    the first state again: 204
//
// For example, {"kind":"drop-reply","path":"/services","count":3} does the work
// of three calls and cuts their connections; {"kind":"overload","seconds":10}
// refuses everything for ten seconds as the vendor does when it is saturated.
package sim
