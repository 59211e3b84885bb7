  // What the page sees.

  function upload(what, options) {
    var input = what && what.tagName === 'INPUT' ? what : null;
    var file = input ? input.files && input.files[0] : what;
    var one = new Upload(file || null, input, options || {});
    var handle = {
      cancel: function () { one.cancel(); },
      pause: function () { one.pause(); },
      resume: function () { one.resume(); }
    };
    if (root.Promise) {
      handle.promise = new root.Promise(function (resolve, reject) {
        one.resolve = resolve;
        one.reject = reject;
      });
      handle.promise['catch'](nothing); // a page that uses only onError must get no unhandled rejection
    }
    setTimeout(function () {
      if (one.over) return;
      if (!file && !(input && input.value)) one.finish(failure('no_file', 'No file was chosen.'));
      else if (!one.isPaused) queue.enter(one);
    }, 0);
    return handle;
  }
