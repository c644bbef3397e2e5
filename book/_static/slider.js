// A slider shows the figures of a line one at a time. Without script, and in print, they stand below each other.
document.addEventListener("DOMContentLoaded", () => {
  for (const slider of document.querySelectorAll(".slider")) {
    const input = slider.querySelector("input");
    const figures = [...slider.querySelectorAll("figure")];
    const show = () => {
      figures.forEach((figure, i) => { figure.hidden = i !== Number(input.value); });
      input.setAttribute("aria-valuetext", figures[input.value].dataset.title);
    };
    input.addEventListener("input", show);
    slider.querySelector(".slider-control").hidden = false;
    show();
  }
});
