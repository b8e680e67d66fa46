// Ask one question at a time, and of those that come meanwhile only the last; tell what goes wrong.
function latest(ask, show, said) {
  let waiting = null, busy = false;
  return async (...question) => {
    waiting = question;
    if (busy) return;
    busy = true;
    while (waiting) {
      const asked = waiting;
      waiting = null;
      const start = performance.now();
      try {
        show(await ask(...asked), performance.now() - start);
        said.textContent = "";
      } catch (error) {
        said.textContent = error.message;
      }
    }
    busy = false;
  };
}
