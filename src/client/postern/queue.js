  // The queue: at most FILES_AT_ONCE files of this page are on their way, the others wait in their order.

  var FILES_AT_ONCE = 3;
  var queue = { running: [], waiting: [] };

  function has(list, one) {
    for (var i = 0; i < list.length; i++) if (list[i] === one) return true;
    return false;
  }

  function without(list, one) {
    for (var i = list.length - 1; i >= 0; i--) if (list[i] === one) list.splice(i, 1);
  }

  // Does nothing for an upload that has entered already.
  queue.enter = function (upload) {
    if (has(queue.running, upload) || has(queue.waiting, upload)) return;
    queue.waiting.push(upload);
    queue.next();
  };

  // The upload has ended, is paused, or has sent all of its bytes.
  queue.leave = function (upload) {
    without(queue.running, upload);
    without(queue.waiting, upload);
    queue.next();
  };

  queue.next = function () {
    while (queue.running.length < FILES_AT_ONCE && queue.waiting.length) {
      var upload = queue.waiting.shift();
      queue.running.push(upload);
      setTimeout(upload.during(upload.start), 0); // not if it is paused before
    }
  };
