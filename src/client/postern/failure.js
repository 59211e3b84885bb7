  // Errors: those of the client, and those in the answers of Postern and of the store.

  // Some stores answer a code without a message. These messages stand in.
  var MESSAGES = {
    AccessDenied: 'The store refuses this form: a field is not as it was signed, or the form has expired.',
    EntityTooLarge: 'The file is larger than is allowed here.',
    EntityTooSmall: 'The file is smaller than is allowed here.',
    InvalidAccessKeyId: 'The store does not know the key that signed this form.',
    SignatureDoesNotMatch: 'The store does not accept the signature of this form.',
    NoSuchBucket: 'The store has no such bucket.'
  };

  function failure(code, message, status, retryable) {
    var e = new Error(message);
    e.code = code;
    e.status = status || 0;
    e.retryable = !!retryable;
    return e;
  }

  function connectionLost() {
    return failure('network', 'The connection was closed early.', 0, true);
  }

  function textOf(xhr) {
    try {
      return xhr.responseText || '';
    } catch (e) { // the response is no text
      return '';
    }
  }

  // The code and the message in a response: problem+json from Postern, XML from S3 and from the fallback.
  // Ceph sends errors as JSON when the request accepts JSON.
  function problemIn(text) {
    var json = parse(text);
    if (json) return { code: json.code || json.Code, message: json.detail || json.title || json.Message };
    var code = /<Code>([^<]*)<\/Code>/.exec(text), message = /<Message>([^<]*)<\/Message>/.exec(text);
    return {
      code: code && code[1],
      message: message && message[1].replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&amp;/g, '&')
    };
  }

  // Milliseconds from a Retry-After field, which has seconds or a date. Undefined when there is none.
  function waitOf(field) {
    if (!field) return undefined;
    if (/^\d+$/.test(field)) return Number(field) * 1000;
    var at = Date.parse(field);
    return at ? Math.max(0, at - now()) : undefined;
  }

  // The error in a response. `busy`: the server asks to come back later, so no try is used up.
  function failureOf(xhr, what) {
    var found = problemIn(textOf(xhr)), status = xhr.status, code = found.code;
    var said = found.message || MESSAGES[code] || (status ? what + ' was answered ' + status : what + ' could not be reached');
    var e = failure(code || (status ? 'http_' + status : 'network'), said, status, status === 0 || status === 408 || status === 429 || status >= 500);
    if (code === 'quota_exceeded') e.retryable = false; // there is room when other uploads end, or tomorrow
    if (code === 'RequestTimeout') e.retryable = true; // S3 answers it with status 400
    e.busy = e.retryable && (status === 429 || status === 503);
    e.after = e.busy || status === 408 ? waitOf(xhr.getResponseHeader('Retry-After')) : undefined;
    return e;
  }
