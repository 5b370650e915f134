// Package sim simulates ERP systems with the limits, error bodies and headers
// of their vendors, over one seeded world of a distributor: 50 products
// (SKU-0001 …), 12 suppliers, 20 customers (C0001 …), 30 orders (SO1000 …) with
// their invoices and shipments. All simulators show the same world, so that an
// order of the ERP is the one that the TMS ships. Everything is in memory, and
// bounded. Each simulator serves at the root of its listener; bodies are JSON
// objects of at most 1 MiB (XML and forms where a vendor wants them).
//
// A simulator is the judge of what a gateway sends, and shares no code with it. A
// call counts when it arrives, and is under way until its answer is ready to be
// written. All limits of a kind are looked at together: a call that one of them
// refuses uses none. What a refusal says is the vendor's; that it happened stands
// in the Report as a violation.
//
// Evidence of the numbers: vendor (read in the vendor's documentation or code),
// secondary (told by users, partners or clients), assumed (nothing is published;
// the number or the answer is this package's choice, and an option replaces it).
//
// # Every kind
//
//	GET   /_any/items   {items:[{id, sku, name}], total}
//	POST  /_any/items   {elements?, points?, actual?, …}: 201 {id, …} and Location
//
// are limited and refused like any other call of the kind, but need no session.
// elements is what the call counts where elements of a batch count
// (sap-api-management, sage-intacct), points what it asks for and actual what it
// comes to in the end (shopify-graphql). A list of the shapes below holds the first
// ?limit= (100) records; documents that callers leave keep their short fields, and
// the newest 10 000 of them stay.
//
// # netsuite
//
// An ERP in the shape of NetSuite's REST record API. Limit (vendor): calls at once
// over the account, REST, RESTlets and SOAP together (15; Options.Concurrency). The
// vendor is lenient: Options.Overshoot more are let in. Options.Foreign places are
// held by other integrations all the time.
//
//	GET   /services/rest/record/v1/{type}?limit=&offset=&q=     {links, items, count, hasMore, offset, totalResults}
//	GET   /services/rest/record/v1/{type}/{id or eid:EXTERNAL}  the record
//	POST  /services/rest/record/v1/salesOrder                   {externalId?, entity:{id}, memo?, item:{items:[{item:{id or refName}, quantity, rate?}]}}: 204 and Location
//	PUT   /services/rest/record/v1/salesOrder/eid:EXTERNAL      the same, made once however often it is sent: 204 and Location
//	PATCH /services/rest/record/v1/salesOrder/{id}              {memo?, status?}: 204
//	GET   /services/rest/system/v1/governanceLimits             {accountConcurrencyLimit, accountUnallocatedConcurrencyLimit, integrationLimitType}
//	POST  /app/site/hosting/restlet.nl                          {success, echo}
//	POST  /services/NetSuitePort_2025_2                         SOAP: getAccountGovernanceInfo, and an empty answer to all else
//
// The types are salesOrder, invoice, inventoryItem, vendor and customer; q is
// FIELD IS "value", joined by AND, and FIELD may lead into a record by dots.
// Beyond the limit, records answer 429, RESTlets 400 and SOAP 500, without a hint
// when to come back. The code of the 429 is not documented by the vendor (assumed):
//
//	429 {type, title, status, o:errorDetails:[{detail, o:errorCode: CONCURRENCY_LIMIT_EXCEEDED}]}
//	400 {error:{code: SSS_REQUEST_LIMIT_EXCEEDED, message}}
//	500 soapenv:Fault with exceededConcurrentRequestLimitFault, code WS_REQUEST_BLOCKED
//
// Other refusals have the first shape: 400 USER_ERROR, INVALID_KEY_OR_REF,
// INACTIVE_ITEM, DUP_RCRD or INVALID_PARAMETER, 404 NONEXISTENT_ID.
//
// # dataverse
//
// A CRM in the shape of Dataverse's Web API. Limits (vendor) for each user
// (Authorization header) and web server: 6000 calls and 1200 s of execution time in
// 300 s, 52 at once. Options.Nodes servers take turns for callers without the
// cookie ARRAffinity.
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
//	POST  /stock/adjustments                      {adjustments:[{sku, warehouse, quantity}]}, at most 50: {results:[{status, body}]}, each by itself
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
// # business-central
//
// Dynamics 365 Business Central. Limits (vendor) for each user (Authorization): 6000
// calls in 5 minutes, 5 processed and 95 waiting (100 connections); 503 after 8
// minutes of waiting, 408 after 8 minutes of work.
//
//	GET   /v2.0/{tenant}/{environment}/api/v2.0/{company}/customers, items, salesOrders, salesInvoices   {value:[…]}
//	POST  /v2.0/…/salesOrders            {…}: 201 with @odata.etag
//	GET   /v2.0/…/salesOrders(ID)        the order and ETag
//	PATCH /v2.0/…/salesOrders(ID)        needs If-Match: 400 without, 409 when it was changed meanwhile
//	POST  /v2.0/{tenant}/{environment}/api/v2.0/$batch   {requests:[{id, method, url, headers, body}]}: {responses:[{id, status, headers, body}]}
//
// A $batch has at most 100 requests (vendor). It stops at the first that fails, unless
// Prefer says odata.continue-on-error, and does all or none with Isolation: snapshot
// (vendor). It counts as one call (assumed).
//
// 429 {error:{code: Application_TooManyRequests, message}} with Retry-After
// (secondary); the bodies of 503 and 408 are assumed.
//
// # dynamics365-fno
//
// Dynamics 365 Finance & Operations. Only the limit by resources is in force (vendor),
// without a number: 12 at once (assumed; Options.Concurrency), and Options.Rate calls a second.
//
//	GET   /data/CustomersV3, ReleasedProductsV2, SalesOrderHeadersV2, InventoryOnHandEntities   {value:[…]}
//	POST  /data/SalesOrderHeadersV2                                                             {…}: 201
//
// 429 {error:{code, message}} with Retry-After (vendor): 30 s, and longer for who goes on sending.
//
// # salesforce
//
// Limits (vendor): 25 calls of 20 s and more at once (Options.Concurrency, Age), 100 000
// in rolling 24 hours (Options.Requests).
//
//	GET   /services/data/{version}/limits                              {DailyApiRequests:{Max, Remaining}}
//	GET   /services/data/{version}/query                               {totalSize, done, records:[accounts]}
//	POST  /services/data/{version}/sobjects/{type}                     201 {id, success, errors}
//	PATCH /services/data/{version}/sobjects/{type}/{field}/{value}     201 or 200, made once however often it is sent
//	POST  /services/data/{version}/composite/sobjects                  {allOrNone, records:[{attributes:{type}, …}]}: [{id, success, errors}]
//	PATCH /services/data/{version}/composite/sobjects/{type}/{field}   the same by an external id: [{id, success, created, errors}]
//
// A collection has at most 200 records, counts as one call, and has a result for each
// record in their order; one that fails leaves the others alone unless allOrNone (vendor).
//
// 403 [{message, errorCode: REQUEST_LIMIT_EXCEEDED}] (secondary) without a hint; every
// answer carries Sforce-Limit-Info: api-usage=n/max (vendor).
//
// # sap-s4hana
//
// Nothing is published: 10 at once (assumed; Options.Concurrency), Options.Rate calls a
// second, 503 and HTML beyond (assumed).
//
//	GET   /sap/opu/odata/sap/API_BUSINESS_PARTNER/A_Customer            {d:{results:[…]}}
//	GET   /sap/opu/odata/sap/API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod  {d:{results:[…]}}
//	GET   /sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder           {d:{results:[…]}}
//	POST  /sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder           {…}: 201 {d} and ETag; RequestID with RepeatabilityCreation makes it once
//	PATCH /sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder('ID')     204; 428 without If-Match, 412 when it was changed meanwhile
//
// A GET with x-csrf-token: fetch answers a token and a session cookie; writes need both
// (vendor), 403 "CSRF token validation failed" otherwise. Sessions end after 30 minutes.
//
// # sap-api-management
//
// A proxy with a spike arrest of 10 a second on each of Options.Nodes servers, which take
// turns, and a quota of 1000 in 5 minutes by the clock. The algorithms are the vendor's, the
// numbers each owner's (Options.Rate, Requests, Window). elements weigh.
//
//	GET   /items, /orders    {items:[…]}, {orders:[…]}
//	POST  /orders            {…}: 201
//
// 429 {fault:{faultstring, detail:{errorcode}}} (assumed to be Apigee's), no hint.
//
// # sap-btp-token
//
// Limit (vendor): 60 a second for a subaccount (Options.Rate); up to 120 more wait for their
// turn (assumed number), then 429 with nginx's HTML (assumed) and Retry-After (vendor).
//
//	POST  /oauth/token       grant_type=…: {access_token, token_type, expires_in, scope}
//
// # sap-business-one
//
// Nothing is published: 8 at once on each of Options.Nodes nodes (assumed;
// Options.Concurrency), beyond them 502 and Apache's "Proxy Error" page (secondary).
//
//	POST  /b1s/v1/Login      {CompanyDB, UserName, Password}: {SessionId, SessionTimeout}, cookies B1SESSION and ROUTEID
//	POST  /b1s/v1/Logout     204
//	GET   /b1s/v1/Items, BusinessPartners, Orders, Invoices   {value:[…]}
//	POST  /b1s/v1/Orders     {…}: 201
//
// A session belongs to the node of ROUTEID and ends 30 minutes after its last use: 401
// {error:{code: 301, message}} (secondary).
//
// # acumatica
//
// Limits of the licence (algorithm vendor, numbers examples): 16 processed at once
// (Options.Concurrency), 20 waiting for 10 minutes, 10 sessions (Options.Sessions). From half
// of the 100 calls a minute (Options.Requests) on, each call is delayed by
// (rest of the minute) ÷ (rest of the calls). The limit "minute" counts, and refuses nothing.
//
//	POST  /entity/auth/login     {name, password}: 204 and a cookie; 429 when there are too many sessions
//	POST  /entity/auth/logout    204; it is served at once
//	GET   /entity/{endpoint}/{version}/StockItem, Customer, SalesOrder   […]
//	PUT   /entity/{endpoint}/{version}/SalesOrder   {OrderNbr:{value}?, …}: 200, changed when it is there
//
// 429 without a hint; its body is assumed.
//
// # sage-intacct
//
// Limits: 2 calls at once (secondary; Options.Concurrency) that overlap for more than 2 s
// (vendor; Options.Age); 100 000 transactions in 30 days (secondary; Options.Requests), each
// element one, which are billed and not refused (vendor).
//
//	POST  /ia/xml/xmlgw.phtml    XML; every <function> is an element
//	GET   /ia/api/v1/objects/accounts-receivable/customer, …/invoice, inventory-control/item   {ia::result, ia::meta}
//	POST  /ia/api/v1/objects/accounts-receivable/invoice   {…}: 201
//
// 429 with GW-0010 (secondary), in XML or JSON, without a hint.
//
// # quickbooks-online
//
// Limits (vendor): 500 a minute for a realm (Options.Requests), 10 a second for a realm and
// app (Authorization), batches 40 a minute for a realm and app and 120 for a realm, 800 a
// minute for all. That the windows slide is assumed.
//
//	GET   /v3/company/{realm}/query?query=select * from Item|Customer|Invoice   {QueryResponse}
//	POST  /v3/company/{realm}/invoice, salesreceipt   {…}; with ?requestid= it is made once
//	POST  /v3/company/{realm}/batch                   {BatchItemRequest:[1 to 30]}
//
// 429 and XML with ThrottleExceeded (secondary), without a hint.
//
// # xero
//
// Limits (vendor) for each app and tenant (Authorization, xero-tenant-id): 5 at once
// (Options.Concurrency), 60 a minute (Options.Requests), 5000 a day, which begins at a time of
// each tenant's own (secondary); for each app 10 000 a minute.
//
//	GET   /api.xro/2.0/Invoices, Contacts, Items, PurchaseOrders       {Invoices:[…]}
//	PUT, POST  the same                                                {…}: 200; with Idempotency-Key it is made once within 6 minutes (secondary)
//
// 429 without a body, X-Rate-Limit-Problem: minute, day (vendor), appminute or concurrent
// (assumed), Retry-After for all but concurrent; every answer carries X-MinLimit-Remaining,
// X-DayLimit-Remaining and X-AppMinLimit-Remaining.
//
// # shopify-rest
//
// Limit for each token: a bucket of 40 (secondary; Options.Requests) that runs out at 2 a
// second (vendor; Options.Rate).
//
//	GET   /admin/api/{version}/products.json, customers.json, orders.json, inventory_levels.json
//	POST  /admin/api/{version}/orders.json, inventory_levels/adjust.json
//
// 429 {errors} with Retry-After; every answer carries X-Shopify-Shop-Api-Call-Limit: n/40.
//
// # shopify-graphql
//
// Limit for each token: 2000 points (assumed; Options.Requests), refilled at 100 a second
// (vendor; Options.Rate). A call is charged its points (10 when it does not say) and gets
// back what exceeds actual.
//
//	POST  /admin/api/{version}/graphql.json   {query, variables?, points?, actual?}
//
// 200 {errors:[{extensions:{code: THROTTLED}}]}; every answer carries extensions.cost with
// requestedQueryCost, actualQueryCost and throttleStatus. More than 1000 points are
// MAX_COST_EXCEEDED, and cost nothing.
//
// # amazon-sp-api
//
// A token bucket for each operation and x-amz-access-token (vendor: the descriptions of
// amzn/selling-partner-api-models); spOperations lists them. /_any/items counts as
// getListingsItem and putListingsItem, or as what ?operation= names.
//
// 429 {errors:[{code: QuotaExceeded, message, details}]} without a hint; every answer
// carries x-amzn-RateLimit-Limit.
//
// # frappe
//
// ERPNext with 600 s of execution time (Options.Requests) in each hour by the clock, charged
// after the answer (vendor: frappe/rate_limiter.py).
//
//	GET   /api/resource/Item, Customer, Bin, Sales Invoice, Sales Order   {data:[…]}
//	POST  /api/resource/Sales Order                                       {…}: 200 {data}
//
// 429 "Too Many Requests" with Retry-After; every answer carries X-RateLimit-Limit and
// -Remaining in microseconds and -Reset in seconds.
//
// # odoo
//
// Limits for each X-Odoo-Database: 1 call a second (secondary; Options.Requests, Window) and
// one worker (vendor for staging builds; Options.Concurrency), for which 20 wait (assumed).
//
//	POST  /json/2/{product.product, res.partner, stock.quant, account.move, sale.order}/search_read   […]
//	POST  /json/2/sale.order/create   {…}: [id]
//
// 429 {name, message, arguments, context, debug} (status secondary), without a hint.
//
// # oracle-fusion
//
// Nothing is published: 16 at once, then 503; Options.Rate calls a second, then 429 (assumed).
//
//	GET   /fscmRestApi/resources/11.13.18.05/itemsV2, invoices, salesOrdersForOrderHub   {items, count, hasMore}
//	POST  /fscmRestApi/resources/11.13.18.05/salesOrdersForOrderHub                       {…}: 201
//
// # workday
//
// Nothing is published: 10 at once, then 503; Options.Rate calls a second, then 429 (assumed).
//
//	GET   /ccx/api/v1/{tenant}/customers, supplierInvoices, salesOrders   {data, total}
//	POST  /ccx/api/v1/{tenant}/salesOrders                                {…}: 201
//
// # manhattan
//
// Limit: 500 calls (vendor, in part; Options.Requests) in each hour by the clock, in which
// the tenant's own pages count (Options.Foreign). 429 is assumed.
//
//	GET   /item-master/api/item-master/item, /inventory-management/api/inventory-management/inventory
//	GET   /dcorder/api/dcorder/originalOrder          {success, data}
//	POST  /dcorder/api/dcorder/originalOrder/save     {…}: 200 {data}
//
// # generic
//
// The limits that are given: Options.Concurrency at once (10), and Options.Requests within a
// sliding Options.Window (none; 1 s). 429 {error} with Retry-After.
//
//	GET   /items, /orders    {items, total}
//	POST  /orders            {…}: 201
//
// # Control
//
// Every simulator is steered at /_sim, which counts as no call of the system:
//
//	POST   /_sim/faults   a Fault: 201; 400 {error} when it cannot be
//	DELETE /_sim/faults   ends all faults: 204
//	GET    /_sim/report   a Report
//	POST   /_sim/mark     begins to measure: the report tells what came since then: 204
//	POST   /_sim/reset    the first state again: 204
//
// For example, {"kind":"drop-reply","path":"/services","count":3} does the work
// of three calls and cuts their connections; {"kind":"overload","seconds":10}
// refuses everything for ten seconds as the vendor does when it is saturated.
//
// Options.Scale makes the vendor's time run faster: at 60 a window of 300 s lasts 5 s,
// and a bucket fills 60 times as fast. The latency of calls is not scaled, nor is the
// traffic of Options.Foreign, which comes as the last caller came and ends with Close.
package sim
