// Answers of the learner, asked of the server that sent the page.
async function ask(name, question) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify(question);
  const response = await fetch(name, { method: "POST", headers, body }).catch(() => null);
  if (!response) throw new Error("the demo has stopped: start it again");
  const { answer, error } = await response.json();
  if (error) throw new Error(error);
  return answer;
}

const answers = {
  classify: (support, query) => ask("classify", { support, query }),
  fit: (points) => ask("fit", { points }),
};
