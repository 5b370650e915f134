"""Small JSON-RPC client for a Tryton server (standard library only).

It opens one connection per call (uWSGI's http-socket closes after each answer
without saying so) and encodes Decimal, date and datetime the way Tryton
expects them.
"""
import base64
import datetime
import decimal
import http.client
import json


class TrytonError(Exception):
    """A refusal that came back inside an HTTP 200 JSON-RPC answer."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.kind = error[0] if error else ''
        self.args_ = error[1] if len(error) > 1 else None


class HTTPFailure(Exception):
    """Any HTTP status other than 200."""

    def __init__(self, status, body, headers):
        super().__init__('HTTP %s: %s' % (status, body[:300]))
        self.status, self.body, self.headers = status, body, headers


def encode(value):
    if isinstance(value, decimal.Decimal):
        return {'__class__': 'Decimal', 'decimal': str(value)}
    if isinstance(value, datetime.datetime):
        return {'__class__': 'datetime', 'year': value.year,
            'month': value.month, 'day': value.day, 'hour': value.hour,
            'minute': value.minute, 'second': value.second,
            'microsecond': value.microsecond}
    if isinstance(value, datetime.date):
        return {'__class__': 'date', 'year': value.year,
            'month': value.month, 'day': value.day}
    raise TypeError(type(value))


def decode(obj):
    kind = obj.get('__class__')
    if kind == 'Decimal':
        return decimal.Decimal(obj['decimal'])
    if kind == 'date':
        return datetime.date(obj['year'], obj['month'], obj['day'])
    if kind == 'datetime':
        return datetime.datetime(obj['year'], obj['month'], obj['day'],
            obj['hour'], obj['minute'], obj['second'], obj['microsecond'])
    return obj


class Client:

    def __init__(self, host, port, database, timeout=120):
        self.host, self.port, self.database = host, int(port), database
        self.timeout = timeout
        self.auth = None
        self.context = {}
        self.serial = 0

    # -- transport -------------------------------------------------------
    def post(self, path, body, headers=None):
        """One POST; returns (status, headers, raw body)."""
        head = {'Content-Type': 'application/json'}
        if self.auth:
            head['Authorization'] = self.auth
        head.update(headers or {})
        head = {k: v for k, v in head.items() if v is not None}
        conn = http.client.HTTPConnection(
            self.host, self.port, timeout=self.timeout)
        try:
            conn.request('POST', path, body, dict(head, Connection='close'))
            answer = conn.getresponse()
            raw = answer.read().decode('utf-8', 'replace')
        finally:
            conn.close()
        return answer.status, dict(answer.getheaders()), raw

    def call_raw(self, method, params, path=None):
        self.serial += 1
        body = json.dumps(
            {'id': self.serial, 'method': method, 'params': params},
            default=encode, separators=(',', ':'))
        path = path or '/%s/' % self.database
        return self.post(path, body)

    def call(self, method, *params):
        """Call with the session context appended, as Tryton requires."""
        return self.plain(method, *params, dict(self.context))

    def plain(self, method, *params):
        status, headers, raw = self.call_raw(method, list(params))
        if status != 200:
            raise HTTPFailure(status, raw, headers)
        answer = json.loads(raw, object_hook=decode)
        if 'error' in answer:
            raise TrytonError(answer['error'])
        return answer['result']

    # -- session ---------------------------------------------------------
    def login(self, user, password):
        self.auth = None
        uid, token = self.plain(
            'common.db.login', user, {'password': password}, 'en')
        self.auth = 'Session ' + base64.b64encode(
            ('%s:%s:%s' % (user, uid, token)).encode()).decode()
        self.uid = uid
        self.context = {}
        self.context = self.call('model.res.user.get_preferences', True)
        return self

    # -- sugar -----------------------------------------------------------
    def search(self, model, domain, **kw):
        return self.call('model.%s.search' % model, domain,
            kw.get('offset', 0), kw.get('limit'), kw.get('order'))

    def one(self, model, *domain):
        ids = self.search(model, list(domain), limit=2)
        if len(ids) != 1:
            raise LookupError('%s %s -> %s' % (model, domain, ids))
        return ids[0]

    def create(self, model, *rows):
        return self.call('model.%s.create' % model, list(rows))

    def write(self, model, ids, values):
        return self.call('model.%s.write' % model, ids, values)

    def read(self, model, ids, *fields):
        return self.call('model.%s.read' % model, ids, list(fields))

    def button(self, model, button, ids):
        return self.call('model.%s.%s' % (model, button), ids)

    def xml_id(self, module, name):
        rows = self.call('model.ir.model.data.search_read',
            [('module', '=', module), ('fs_id', '=', name)],
            0, 1, None, ['db_id'])
        return rows[0]['db_id']

    def wizard(self, name, steps):
        """Run a wizard: steps is [(state, {view: {field: value}}), ...]."""
        sid, _, _ = self.call('wizard.%s.create' % name)
        try:
            for state, data in steps:
                self.call('wizard.%s.execute' % name, sid, data, state)
        finally:
            self.call('wizard.%s.delete' % name, sid)
