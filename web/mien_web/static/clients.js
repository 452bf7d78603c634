// The print button of the card and of a receipt.

const button = document.getElementById("print");
button.hidden = false;
button.addEventListener("click", () => window.print());
