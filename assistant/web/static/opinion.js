// What the person thinks of an answer.

const turnOf = (button) => {
  const answers = [...conversation.querySelectorAll(".bot-row")];
  return answers.indexOf(button.closest(".bot-row")) + 1;
};

const sendOpinion = async (button, opinion) => {
  const address = `conversations/${recallHere("conversation")}/turns/${turnOf(button)}/opinion`;
  const sent = await withKey(address, "POST", opinion);
  const actions = button.closest(".actions");
  if (sent.ok) {
    actions.querySelector(".good").classList.toggle("pressed", opinion.good);
    actions.querySelector(".bad").classList.toggle("pressed", !opinion.good);
  }
  announcer.textContent = judged.querySelector(".status").textContent = word(sent.ok ? "thanks" : sent.status ? "opinion_not_kept" : "unreachable");
  judged.querySelector("form").hidden = true;
  actions.after(judged);
  judged.hidden = false;
  // By keyboard it was on the button that sent it, and is gone.
  button.focus();
};

const judged = document.createElement("div");
judged.id = "opinion";
judged.innerHTML = `<p class="status"></p><form><fieldset><legend data-word="why_bad"></legend>
  ${["wrong", "incomplete", "unanswerable", "answerable"].map((reason) => `<label>
  <input type="radio" name="reason" value="${reason}"> <span data-word="${reason}"></span></label>`).join("")}
  </fieldset><textarea rows="2" maxlength="1000" data-name="comment"></textarea>
  <p><button type="submit" data-word="send_opinion"></button>
  <button type="button" class="no" data-word="cancel"></button></p></form>`;

let judging = null;
judged.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const comment = judged.querySelector("textarea").value;
  sendOpinion(judging, { good: false, reason: form.get("reason") ?? "", comment });
});
judged.querySelector(".no").addEventListener("click", () => {
  judged.hidden = true;
  judging.focus();
});
BUTTONS[".good"] = (button) => sendOpinion(button, { good: true });
BUTTONS[".bad"] = (button) => {
  judging = button;
  writeWords(judged);
  const form = judged.querySelector("form");
  form.reset();
  form.querySelector("textarea").placeholder = word("comment");
  // The documents either hold the answer or do not: the other reason makes no sense.
  const answered = Boolean(button.closest(".answer").querySelector(".cited"));
  for (const [reason, fits] of [["wrong", answered], ["incomplete", answered], ["unanswerable", answered], ["answerable", !answered]]) {
    form.querySelector(`[value="${reason}"]`).closest("label").hidden = !fits;
  }
  judged.querySelector(".status").textContent = "";
  form.hidden = judged.hidden = false;
  button.closest(".actions").after(judged);
  form.querySelector("label:not([hidden]) input").focus();
};
